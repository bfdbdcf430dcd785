package runpod

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"
)

// nothing imports no package: only what the package itself declares is looked at.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not looked at") }

// TestGraphQLGoesInOneCommit: the files named graphql*.go can be deleted, as no file but
// client.go, where New is, refers to what they declare.
func TestGraphQLGoesInOneCommit(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	c := types.Config{Importer: nothing{}, Error: func(error) {}} // the imports are not there
	pkg, _ := c.Check("runpod", fset, files, &info)
	of := func(p token.Pos) string { return filepath.Base(fset.Position(p).Filename) }
	graphQL := func(p token.Pos) bool { return strings.HasPrefix(of(p), "graphql") }
	inside := 0
	for use, object := range info.Uses {
		switch {
		case object.Pkg() != pkg || !graphQL(object.Pos()) || object.Parent() != pkg.Scope() && !method(object):
		case graphQL(use.Pos()):
			inside++
		case of(use.Pos()) != "client.go":
			t.Errorf("%s uses %s of %s", fset.Position(use.Pos()), object.Name(), of(object.Pos()))
		}
	}
	if inside < 100 {
		t.Errorf("only %d uses were found in the files themselves", inside)
	}
}

func method(o types.Object) bool {
	f, ok := o.(*types.Func)
	return ok && f.Signature().Recv() != nil
}
