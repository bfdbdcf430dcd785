package layering

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure are the packages that decide and do nothing: no context, clock,
// goroutine, I/O or randomness is in them.
var pure = []string{"internal/core", "internal/condition", "strategy"}

// impure are the imports that would bring one in, with everything below them.
var impure = []string{"os", "io", "net", "sync", "syscall", "math/rand", "crypto/rand", "log", "runtime", "testing", "unsafe"}

func TestPurity(t *testing.T) {
	for _, dir := range pure {
		eachFile(t, dir, func(fset *token.FileSet, f *ast.File) {
			for _, imp := range f.Imports {
				path, err := strconv.Unquote(imp.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if covers(impure, path) {
					t.Errorf("%s: %s is pure and imports %s", fset.Position(imp.Pos()), dir, path)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if why := impurity(n); why != "" {
					t.Errorf("%s: %s is pure and has %s", fset.Position(n.Pos()), dir, why)
				}
				return true
			})
		})
	}
}

// impurity says what a node does that a pure package does not. Of package
// context it may name the errors.
func impurity(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a go statement"
	case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
		return "a channel"
	case *ast.SelectorExpr:
		pkg, ok := n.X.(*ast.Ident)
		if !ok {
			return ""
		}
		name := pkg.Name + "." + n.Sel.Name
		clock := []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick"}
		if slices.Contains(clock, name) || pkg.Name == "context" && n.Sel.Name != "DeadlineExceeded" && n.Sel.Name != "Canceled" {
			return name
		}
	}
	return ""
}

// The sizes that keep the code readable.
const (
	maxFunction = 60  // lines
	maxFile     = 400 // lines
	maxMethods  = 25  // of one type of the engine
)

func TestSizes(t *testing.T) {
	for _, dir := range folders(t) {
		methods := map[string]int{}
		eachFile(t, dir, func(fset *token.FileSet, f *ast.File) {
			name := dir + "/" + filepath.Base(fset.Position(f.Pos()).Filename)
			if lines := fset.File(f.Pos()).LineCount(); lines > maxFile {
				t.Errorf("%s has %d lines, more than %d", name, lines, maxFile)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				if lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; lines > maxFunction {
					t.Errorf("%s: %s has %d lines, more than %d", fset.Position(fn.Pos()), fn.Name.Name, lines, maxFunction)
				}
				methods[receiver(fn)]++
			}
		})
		delete(methods, "")
		if dir != "rollout" && dir != "internal/core" {
			continue
		}
		for name, n := range methods {
			if n > maxMethods {
				t.Errorf("%s.%s has %d methods, more than %d", dir, name, n, maxMethods)
			}
		}
	}
}

// receiver is the name of the type that a function is a method of, "" if it is none.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// folders are those of the module that hold code of the product.
func folders(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return fs.SkipDir
		}
		dir, err := filepath.Rel(root, path)
		dirs = append(dirs, filepath.ToSlash(dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// eachFile parses the files of a folder that are not tests.
func eachFile(t *testing.T, dir string, f func(fset *token.FileSet, file *ast.File)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f(fset, file)
	}
}
