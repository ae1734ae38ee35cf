//! A small tree, drawn with lines.

use super::style::{DIM, Styled};
use std::io::{self, Write};

/// A node of a tree, its children, and how many more it has that are not shown.
#[derive(Debug, Default)]
pub struct Tree {
    pub text: String,
    pub children: Vec<Tree>,
    pub more: usize,
}

impl Tree {
    /// Writes the tree, each line after `indent` blanks.
    pub fn write(&self, out: &mut dyn Write, indent: usize) -> io::Result<()> {
        writeln!(out, "{:indent$}{}", "", self.text)?;
        self.write_children(out, &" ".repeat(indent))
    }

    fn write_children(&self, out: &mut dyn Write, before: &str) -> io::Result<()> {
        for (at, child) in self.children.iter().enumerate() {
            let last = at + 1 == self.children.len() && self.more == 0;
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            writeln!(out, "{before}{}{}", Styled(DIM, branch), child.text)?;
            child.write_children(out, &format!("{before}{}", Styled(DIM, below)))?;
        }
        if self.more > 0 {
            writeln!(out, "{before}{}", Styled(DIM, format_args!("└─ and {} more", self.more)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn() {
        let leaf = |text: &str| Tree { text: text.into(), ..Tree::default() };
        let tree = Tree {
            text: "root".into(),
            children: vec![
                Tree { text: "a".into(), children: vec![leaf("b")], more: 2 },
                Tree { text: "c".into(), children: vec![leaf("d")], more: 0 },
            ],
            more: 0,
        };
        let mut out = Vec::new();
        tree.write(&mut out, 1).unwrap();
        let plain = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        let want = " root\n ├─ a\n │  ├─ b\n │  └─ and 2 more\n └─ c\n    └─ d\n";
        assert_eq!(plain, want);
    }
}
