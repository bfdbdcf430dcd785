// The smallest program that uses the GraphQL client alone.
package main

import (
	"context"
	"fmt"

	"github.com/shurcooL/graphql"
)

func main() {
	var q struct {
		Myself struct {
			Endpoints []struct{ Name graphql.String }
		}
	}
	fmt.Println(graphql.NewClient("https://api.runpod.io/graphql", nil).Query(context.Background(), &q, nil), q)
}
