package endpointtest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

// A wire to a service with one document, whose first write is lost after it
// took effect.
func ExampleWire() {
	image := "acme/sdxl:v1"
	wire := &endpointtest.Wire{
		Service: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				body, _ := io.ReadAll(r.Body)
				image = string(body)
			}
			_, _ = io.WriteString(w, image)
		}),
		Write: func(r *http.Request, body []byte) string {
			if r.Method == http.MethodGet {
				return ""
			}
			return "serve " + string(body)
		},
	}
	wire.OnWrite(func(what string) endpointtest.Fault {
		fmt.Println("about to", what)
		return endpointtest.LostAfter()
	})
	req, err := http.NewRequest(http.MethodPut, "https://api.example.com/", strings.NewReader("acme/sdxl:v2"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = wire.Client().Do(req)
	fmt.Println(err)
	fmt.Println(image, wire.Writes(), wire.Applied(1))
	// Output:
	// about to serve acme/sdxl:v2
	// Put "https://api.example.com/": unexpected EOF
	// acme/sdxl:v2 1 true
}

// A fault is plain data, for the fake of a provider to translate.
func ExampleFault() {
	for _, f := range []endpointtest.Fault{endpointtest.LostBefore(), endpointtest.LostAfter(), endpointtest.Late(7e9)} {
		fmt.Println(f.Kind, f.Kind.Applies(), f.After)
	}
	// Output:
	// lost before false 0s
	// lost after true 0s
	// late false 7s
}
