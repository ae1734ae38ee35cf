//! Plain tables on standard output: the first column to the left, the others to the right.

/// A table that is printed when it is complete.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it, with its title above.
    pub fn print(&self, title: &str) {
        println!("\n{title}\n");
        print!("{}", self.render());
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| self.rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(c, (cell, &w))| if c == 0 { format!("{cell:<w$}") } else { format!("{cell:>w$}") })
                .collect();
            out += &format!("  {}\n", cells.join("   ").trim_end());
            if n == 0 {
                let rules: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
                out += &format!("  {}\n", rules.join("   "));
            }
        }
        out
    }
}

/// A number with as many decimals as its size deserves, thousands set apart.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    match value.abs() {
        v if v >= 1000.0 => thousands(value.round() as i64),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.01 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_or_more() {
        let cases = [
            (0.0, "0.00"),
            (0.7512, "0.75"),
            (12.34, "12.3"),
            (106.2, "106"),
            (1_022_616.0, "1,022,616"),
            (0.001, "0.0010"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["engine", "p50"]);
        table.row(vec!["ours".into(), "1.23".into()]);
        assert_eq!(table.render(), "  engine    p50\n  ------   ----\n  ours     1.23\n");
    }
}
