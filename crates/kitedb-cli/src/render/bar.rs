//! A bar of a chart, to an eighth of a column.

/// A bar of at most `width` columns for `value` where `max` fills them all. A value above zero always shows.
pub fn bar(value: u64, max: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if value == 0 || max == 0 {
        return String::new();
    }
    let eighths = (value.min(max) as f64 / max as f64 * (width * 8) as f64).round().max(1.0) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        for (value, max, want) in [(8, 8, "████"), (4, 8, "██"), (1, 8, "▌"), (1, 1000, "▏"), (0, 8, ""), (3, 0, "")]
        {
            assert_eq!(bar(value, max, 4), want, "{value} of {max}");
        }
    }
}
