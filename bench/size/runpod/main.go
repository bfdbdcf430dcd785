// The smallest program that uses package runpod alone.
package main

import (
	"context"
	"fmt"

	"github.com/changeover-dev/changeover/runpod"
)

func main() {
	c, err := runpod.New("key")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Endpoint("id").Status(context.Background()))
}
