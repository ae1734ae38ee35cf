//! Files that are no good in ways that nobody thought of: the command ends with a sentence about a place, and no panic.

use crate::support::Folder;

/// As many files of each format; `KITEDB_MUTATIONS` says otherwise.
const FILES: u64 = 12;

/// A generator of numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const SIGNS: &[u8] = b"\"',;|\t\r\n\0{}[]:$%#-.eE0\\ \xff\xc2\xa0";
        for _ in 0..1 + self.below(6) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, SIGNS[self.below(SIGNS.len())]),
                2 if at < bytes.len() => bytes[at] = SIGNS[self.below(SIGNS.len())],
                _ => {
                    let part: Vec<u8> = bytes[at..].iter().copied().take(40).collect();
                    bytes.splice(at..at, part);
                }
            }
        }
    }
}

#[test]
fn a_mutated_file_is_imported_or_refused_with_its_line() {
    let files = std::env::var("KITEDB_MUTATIONS").ok().and_then(|files| files.parse().ok()).unwrap_or(FILES);
    let mut numbers = Numbers(1);
    for (name, content) in [
        ("g.csv", "id,name:string,w:float[],x,:LABEL\n1,\"Ada, \"\"L\"\"\",1;2,1.5,A;B\n2,\"two\r\nlines\",,007,A\n"),
        ("e.csv", "src,dst,type,rank,w\na,b,T,,1\na,b,T,3,2.50\nb,c,,,\n"),
        ("g.txt", "# a\n1 2\n1 3 T\n2 3 {'w': [1, 'x'], \"y\": None}\n"),
        ("out.g", "% sym\n1 2 0.5 1082040961\n2 3 1\n"),
        (
            "g.jsonl",
            "{\"key\":\"a\",\"labels\":[\"A\"],\"props\":{\"x\":[1,{\"$date\":\"2015-07-21\"}]},\"vectors\":{\"v\":[1,2]}}\n{\"src\":\"a\",\"dst\":\"b\",\"rank\":1}\n",
        ),
    ] {
        for _ in 0..files {
            let folder = Folder::new();
            let mut bytes = content.as_bytes().to_vec();
            numbers.mutate(&mut bytes);
            folder.file(name, &bytes);
            let run = folder.run(&["import", "g.kitedb", name]);
            let shown = String::from_utf8_lossy(&bytes);
            assert!([0, 1].contains(&run.code), "{name}: {shown:?}: {run:?}");
            let has_place = run.err.contains("line ") || run.err.contains("it is ");
            assert!(run.code == 0 || has_place, "{name}: {shown:?}: {run:?}");
            assert!(!run.err.contains("defect"), "{name}: {shown:?}: {run:?}");
            if run.code == 0 {
                assert_eq!(folder.run(&["check", "g.kitedb", "--json"]).json()["clean"], true, "{shown:?}");
            } else {
                assert!(!folder.path().join("g.kitedb").exists(), "{name}: {shown:?}: {run:?}");
            }
        }
    }
}
