package layering

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A link in a doc comment: [Name], [Type.Method], [package.Name].
var docLink = regexp.MustCompile(`\[\*?(?:([a-z]\w*)\.)?([A-Z]\w*)(?:\.([A-Z]\w*))?\]`)

// A comment that begins with another name than its own was left behind by a renaming.
var nameOfAnother = regexp.MustCompile(`^([A-Z][A-Za-z0-9]*)( (?:is|are|says|holds|reads|only|returns|reports|means|names|makes|counts|puts|compares|sets|writes)\b|:)`)

// TestDocLinks: what a doc comment links to exists, and a comment speaks of what it
// stands above.
func TestDocLinks(t *testing.T) {
	packages := map[string]*symbols{} // by import path within the module
	for _, dir := range sourceDirs(t) {
		packages[dir] = parseSymbols(t, filepath.Join(root, dir))
	}
	for dir, p := range packages {
		for _, c := range p.comments {
			for _, m := range docLink.FindAllStringSubmatch(c.text, -1) {
				from, known := p, true
				if m[1] != "" {
					from, known = packages[p.imports[m[1]]], p.imports[m[1]] != ""
				}
				if !known || from == nil { // of another module
					continue
				}
				name := m[2]
				if m[3] != "" {
					name += "." + m[3]
				}
				if !from.has(name) {
					t.Errorf("%s: %s links to nothing: no %s", c.at, m[0], name)
				}
			}
			first := nameOfAnother.FindStringSubmatch(c.text)
			if first != nil && len(c.names) > 0 && !slices.Contains(c.names, first[1]) && (p.names[first[1]] || strings.HasPrefix(c.text, first[1]+":")) {
				t.Errorf("%s: the comment above %s is about %s (package %s)", c.at, strings.Join(c.names, ", "), first[1], path.Base(dir))
			}
		}
	}
}

type symbols struct {
	names    map[string]bool
	embedded map[string][]string
	imports  map[string]string
	comments []comment
}

type comment struct {
	at, text string
	names    []string // what it stands above
}

func parseSymbols(t *testing.T, dir string) *symbols {
	t.Helper()
	s := &symbols{names: map[string]bool{}, embedded: map[string][]string{}, imports: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		s.read(set, f)
	}
	return s
}

// has reports whether there is such a name, or a type that is embedded has it.
func (s *symbols) has(name string) bool {
	typ, method, _ := strings.Cut(name, ".")
	return s.names[name] || slices.ContainsFunc(s.embedded[typ], func(e string) bool { return s.has(e + "." + method) })
}

func (s *symbols) read(set *token.FileSet, f *ast.File) {
	for _, i := range f.Imports {
		full := strings.Trim(i.Path.Value, `"`)
		name := path.Base(full)
		if i.Name != nil {
			name = i.Name.Name
		}
		if rest, ok := strings.CutPrefix(full, module+"/"); ok {
			s.imports[name] = rest
		}
	}
	above := map[*ast.CommentGroup][]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = typeName(d.Recv.List[0].Type) + "." + name
			}
			s.names[name] = true
			above[d.Doc] = []string{d.Name.Name}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s.spec(spec, above)
			}
		}
	}
	for _, g := range f.Comments {
		s.comments = append(s.comments, comment{set.Position(g.Pos()).String(), g.Text(), above[g]})
	}
}

func (s *symbols) spec(spec ast.Spec, above map[*ast.CommentGroup][]string) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			s.names[n.Name] = true
			above[spec.Doc] = append(above[spec.Doc], n.Name)
		}
	case *ast.TypeSpec:
		s.names[spec.Name.Name] = true
		above[spec.Doc] = []string{spec.Name.Name}
		var fields *ast.FieldList
		switch x := spec.Type.(type) {
		case *ast.StructType:
			fields = x.Fields
		case *ast.InterfaceType:
			fields = x.Methods
		default:
			return
		}
		for _, field := range fields.List {
			for _, n := range field.Names {
				s.names[spec.Name.Name+"."+n.Name] = true
				above[field.Doc] = append(above[field.Doc], n.Name)
			}
			if len(field.Names) == 0 { // what is embedded has its own names
				e := typeName(field.Type)
				s.names[spec.Name.Name+"."+e] = true
				s.embedded[spec.Name.Name] = append(s.embedded[spec.Name.Name], e)
			}
		}
	}
}

// typeName is the name of a type without pointer, package and parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// sourceDirs are the folders of the module's packages.
func sourceDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for dir := range table {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}
