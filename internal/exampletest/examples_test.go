package exampletest

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root = "../.."
	path = "github.com/dualstream/dualstream/"
)

// packages are those whose users are to find an Example.
func packages(t *testing.T) []string {
	t.Helper()
	out := []string{"durable", "realtime", "dual", "middleware", "middleware/prometheus", "middleware/otel", "adapters"}
	dirs, err := os.ReadDir(filepath.Join(root, "adapters"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if d.IsDir() && d.Name() != "internal" && d.Name() != "testdata" {
			out = append(out, "adapters/"+d.Name())
		}
	}
	return out
}

// TestWhatAUserCallsFirstHasAnExample wants an Example of every exported function, and of every exported struct type that
// has exported methods: one that is named after it, after one of its methods or after a function that makes it, or one of
// the package that calls it. Errors and the settings of files, which CONFIGURATION.md shows, are not called first. What
// needs none has its reason in excused.
func TestWhatAUserCallsFirstHasAnExample(t *testing.T) {
	var missing []string
	seen := 0
	for _, p := range packages(t) {
		names, n := without(t, p)
		seen += n
		for _, name := range names {
			missing = append(missing, p+"."+name)
		}
	}
	for _, name := range missing {
		if _, ok := excused[name]; !ok {
			t.Errorf("%s has no Example", name)
		}
	}
	for name := range excused {
		if !slices.Contains(missing, name) {
			t.Errorf("%s is excused and has an Example, or is no more: remove it from the list", name)
		}
	}
	t.Logf("%d symbols, %d with an Example, %d excused", seen, seen-len(missing), len(excused))
}

// without are the symbols of a package that lack an Example, and the number of those that are to have one.
func without(t *testing.T, dir string) (names []string, seen int) {
	t.Helper()
	p, used := parse(t, dir)
	look := func(name string, has bool) {
		if seen++; !has && !used[name] {
			names = append(names, name)
		}
	}
	for _, f := range p.Funcs {
		look(f.Name, hasExample(f))
	}
	for _, typ := range p.Types {
		shown := len(typ.Examples) > 0 || slices.ContainsFunc(typ.Funcs, hasExample) || slices.ContainsFunc(typ.Methods, hasExample)
		if isSettings(typ) {
			continue
		}
		for _, f := range typ.Funcs {
			look(f.Name, shown)
			shown = shown || used[f.Name]
		}
		if isStruct(typ) && len(typ.Methods) > 0 && !isError(typ) {
			look(typ.Name, shown)
		}
	}
	return names, seen
}

// isSettings tells whether t are keys of a file.
func isSettings(t *doc.Type) bool {
	return strings.HasSuffix(t.Name, "Settings") || t.Name == "Limits"
}

func hasExample(f *doc.Func) bool { return len(f.Examples) > 0 }

func isStruct(t *doc.Type) bool {
	for _, s := range t.Decl.Specs {
		if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.Name == t.Name {
			_, ok := ts.Type.(*ast.StructType)
			return ok
		}
	}
	return false
}

// isError tells whether a user meets t as an error: nobody calls it first.
func isError(t *doc.Type) bool {
	return slices.ContainsFunc(t.Methods, func(m *doc.Func) bool { return m.Name == "Error" })
}

// parse reads a package; used are the names in it that its Examples call.
func parse(t *testing.T, dir string) (p *doc.Package, used map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") && !strings.Contains(f, "example") {
			continue
		}
		file, err := parser.ParseFile(fset, f, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	used = map[string]bool{}
	for _, file := range parsed {
		collect(file, filepath.Base(dir), used)
	}
	if p, err = doc.NewFromFiles(fset, parsed, path+dir); err != nil {
		t.Fatal(err)
	}
	return p, used
}

// collect adds what the Examples of a file call of the package name.
func collect(file *ast.File, name string, used map[string]bool) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(f.Name.Name, "Example") {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
					used[s.Sel.Name] = true
				}
			}
			return true
		})
	}
}
