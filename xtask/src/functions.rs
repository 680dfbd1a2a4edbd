//! Lengths of functions, lines under `#[cfg(test)]`, and names of paths, all from the syntax tree.

use std::ops::RangeInclusive;

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A function and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Line of its signature.
    pub(crate) line: usize,
    /// Lines from signature to closing brace.
    pub(crate) lines: usize,
    /// It is compiled only for tests.
    pub(crate) in_tests: bool,
}

/// What one file holds.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Every function with a body, nested ones too.
    pub(crate) functions: Vec<Function>,
    /// Lines that are compiled only for tests.
    pub(crate) test_lines: Vec<RangeInclusive<usize>>,
    /// Every path that a `use` brings in, written with `::`, and its line.
    pub(crate) uses: Vec<(String, usize)>,
}

impl Outline {
    /// Whether `line` is compiled only for tests.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }
}

/// Reads the outline of a file.
pub(crate) fn outline(text: &str) -> Result<Outline, syn::Error> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader::default();
    reader.visit_file(&file);
    Ok(reader.out)
}

#[derive(Default)]
struct Reader {
    out: Outline,
    in_tests: bool,
}

impl Reader {
    fn function(&mut self, name: &syn::Ident, signature: Span, block: &syn::Block, attributes: &[syn::Attribute]) {
        let (line, end) = (signature.start().line, block.span().end().line);
        let in_tests = self.in_tests || attributes.iter().any(is_test);
        let lines = end.saturating_sub(line) + 1;
        self.out.functions.push(Function { name: name.to_string(), line, lines, in_tests });
    }

    /// Visits the inside of an item, with its lines noted when they are for tests only.
    fn item(&mut self, attributes: &[syn::Attribute], span: Span, inside: impl FnOnce(&mut Self)) {
        let outer = self.in_tests;
        if !outer && attributes.iter().any(is_test) {
            self.in_tests = true;
            self.out.test_lines.push(span.start().line..=span.end().line);
        }
        inside(self);
        self.in_tests = outer;
    }

    fn use_tree(&mut self, before: &str, tree: &syn::UseTree) {
        let join = |name: &syn::Ident| if before.is_empty() { name.to_string() } else { format!("{before}::{name}") };
        let leaf = match tree {
            syn::UseTree::Path(path) => return self.use_tree(&join(&path.ident), &path.tree),
            syn::UseTree::Group(group) => return group.items.iter().for_each(|tree| self.use_tree(before, tree)),
            syn::UseTree::Glob(_) => format!("{before}::*"),
            syn::UseTree::Name(name) if name.ident == "self" => before.to_owned(),
            syn::UseTree::Name(name) => join(&name.ident),
            syn::UseTree::Rename(rename) if rename.ident == "self" => before.to_owned(),
            syn::UseTree::Rename(rename) => join(&rename.ident),
        };
        self.out.uses.push((leaf, tree.span().start().line));
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.item(&item.attrs, item.span(), |reader| visit::visit_item_mod(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.item(&item.attrs, item.span(), |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.item(&item.attrs, item.span(), |reader| {
            reader.function(&item.sig.ident, item.sig.span(), &item.block, &item.attrs);
            visit::visit_item_fn(reader, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.item(&item.attrs, item.span(), |reader| {
            reader.function(&item.sig.ident, item.sig.span(), &item.block, &item.attrs);
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig.ident, item.sig.span(), block, &item.attrs);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.item(&item.attrs, item.span(), |reader| reader.use_tree("", &item.tree));
    }
}

/// `#[test]`, `#[tokio::test]`, and `#[cfg(test)]` also inside `all(…)`.
fn is_test(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    if path.segments.last().is_some_and(|last| last.ident == "test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else { return false };
    let tokens = list.tokens.to_string();
    path.is_ident("cfg") && (tokens == "test" || tokens.starts_with("all") && tokens.contains("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "use std::{fs, net::{self, TcpStream as T}};
/// Doc.
fn short() {}

struct S;

impl S {
    /// Doc.
    fn long(
        &self,
    ) {
        fn nested() {}
        nested();
    }
}

#[cfg(test)]
mod tests {
    use std::io::*;
    #[test]
    fn case() {
    }
}
";

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let outline = outline(SOURCE).unwrap();
        let of = |name: &str| outline.functions.iter().find(|function| function.name == name).unwrap().clone();
        assert_eq!((of("short").line, of("short").lines), (3, 1));
        assert_eq!((of("long").line, of("long").lines), (9, 6));
        assert_eq!(of("nested").lines, 1);
        assert!(of("case").in_tests && !of("long").in_tests);
    }

    #[test]
    fn test_lines_and_uses_are_known() {
        let outline = outline(SOURCE).unwrap();
        assert_eq!(outline.test_lines, vec![17..=23]);
        let uses: Vec<&str> = outline.uses.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(uses, ["std::fs", "std::net", "std::net::TcpStream", "std::io::*"]);
        assert!(outline.is_test(20) && !outline.is_test(16));
    }

    #[test]
    fn only_test_attributes_count() {
        let source =
            "#[cfg(not(test))]\nfn a() {}\n#[cfg(all(test, unix))]\nfn b() {}\n#[tokio::test]\nasync fn c() {}\n";
        let tests: Vec<bool> = outline(source).unwrap().functions.iter().map(|function| function.in_tests).collect();
        assert_eq!(tests, [false, true, true]);
    }
}
