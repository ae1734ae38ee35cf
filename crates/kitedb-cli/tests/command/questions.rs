//! Questions of several hops, as a user types them.

use super::support::Folder;
use serde_json::{Value as Json, json};

/// Roads of so many km, and one that leads nowhere.
fn roads() -> Folder {
    let folder = Folder::new();
    let csv =
        "src,dst,type,km\na,b,ROAD,4\nb,c,ROAD,4\na,c,ROAD,10\nc,d,ROAD,1\na,d,FERRY,20\nd,e,ROAD,2\nx,a,ROAD,1\n";
    folder.file("roads.csv", csv);
    folder.run(&["import", "roads.kitedb", "roads.csv"]).ok();
    folder
}

fn keys(nodes: &Json) -> Vec<&str> {
    nodes.as_array().unwrap().iter().map(|node| node["key"].as_str().unwrap()).collect()
}

#[test]
fn a_path_is_the_shortest_or_the_lightest_or_several() {
    let folder = roads();
    let ask = |more: &[&str]| folder.run(&[&["path", "roads.kitedb"], more, &["--json"]].concat()).ok().json();
    let found = |more: &[&str]| -> Vec<(Vec<String>, Json)> {
        let document = ask(more);
        let paths = document["paths"].as_array().unwrap();
        assert_eq!(document["count"], paths.len());
        paths
            .iter()
            .map(|path| (keys(&path["nodes"]).into_iter().map(str::to_owned).collect(), path["weight"].clone()))
            .collect()
    };
    let named = |keys: &str| keys.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(found(&["a", "e"]), [(named("a d e"), Json::Null)]);
    assert_eq!(found(&["a", "e", "--type", "ROAD"]), [(named("a c d e"), Json::Null)]);
    assert_eq!(found(&["a", "e", "--type", "ROAD", "--type", "FERRY"]), [(named("a d e"), Json::Null)]);
    assert_eq!(found(&["a", "e", "--weight", "km"]), [(named("a b c d e"), json!(11.0))]);
    let three = found(&["a", "e", "--weight", "km", "--k", "5"]);
    assert_eq!(
        three,
        [(named("a b c d e"), json!(11.0)), (named("a c d e"), json!(13.0)), (named("a d e"), json!(22.0))]
    );
    assert_eq!(found(&["a", "x"]), []);
    assert_eq!(found(&["a", "x", "--in"]), [(named("a x"), Json::Null)]);
    assert_eq!(found(&["e", "x", "--both"]), [(named("e d a x"), Json::Null)]);
    assert_eq!(found(&["a", "a"]), [(named("a"), Json::Null)]);
    // Two that are as short.
    folder.file("more.csv", "src,dst,type\na,f,ROAD\nf,d,ROAD\n");
    folder.run(&["import", "roads.kitedb", "more.csv"]).ok();
    let both: Vec<_> = found(&["a", "d", "--all", "--type", "ROAD"]).into_iter().map(|(path, _)| path).collect();
    assert_eq!(both, [named("a c d"), named("a f d")]);
    let failed = folder.run(&["path", "roads.kitedb", "a", "e", "--weight", "km", "--type", "ROAD", "--k", "9"]);
    assert!(failed.code == 1 && failed.err.contains("'km', is not there"), "{failed:?}");
    assert_eq!(found(&["a", "f", "--weight", "km", "--missing", "0.5"]), [(named("a f"), json!(0.5))]);
    // A number that is negative is one, which no weight may be.
    let negative = folder.run(&["path", "roads.kitedb", "a", "f", "--weight", "km", "--missing", "-1"]);
    assert!(negative.code == 1 && negative.err.contains("-1"), "{negative:?}");
}

#[test]
fn a_path_reads_as_it_is_gone() {
    let folder = roads();
    let shown = |more: &[&str]| folder.run(&[&["path", "roads.kitedb"], more].concat()).ok().out;
    assert_eq!(shown(&["a", "e"]), "a -FERRY→ d -ROAD→ e  2 edges\n");
    assert_eq!(shown(&["e", "a", "--in", "--weight", "km"]), "e ←ROAD- d ←ROAD- c ←ROAD- b ←ROAD- a  4 edges, km 11\n");
    assert_eq!(shown(&["e", "a"]), "no path\n");
    let unknown = folder.run(&["path", "roads.kitedb", "a", "nobody"]);
    assert!(unknown.code == 1 && unknown.err.contains("no node with the key `nobody`"), "{unknown:?}");
}

#[test]
fn what_is_reached_comes_nearest_first() {
    let folder = roads();
    let ask = |more: &[&str]| folder.run(&[&["reach", "roads.kitedb"], more, &["--json"]].concat()).ok().json();
    let all = ask(&["a"]);
    let depths: Vec<_> = all["nodes"].as_array().unwrap().iter().map(|node| node["depth"].as_u64().unwrap()).collect();
    assert_eq!((depths, &all["count"], &all["more"]), (vec![1, 1, 1, 2], &json!(4), &json!(false)));
    let mut near = keys(&ask(&["a", "--depth", "1"])["nodes"]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    near.sort();
    assert_eq!(near, ["b", "c", "d"]);
    let some = ask(&["a", "--limit", "2"]);
    assert_eq!((&some["count"], &some["more"]), (&json!(2), &json!(true)));
    assert_eq!(ask(&["a", "--limit", "4"])["more"], false);
    assert_eq!(keys(&ask(&["a", "--in"])["nodes"]), ["x"]);
    let text = folder.run(&["reach", "roads.kitedb", "a", "--type", "FERRY"]).ok().out;
    assert_eq!(text, "1  d\n1 node\n");
}

#[test]
fn a_question_that_costs_too_much_ends_and_says_how_to_ask() {
    let folder = roads();
    let run = folder.run(&["reach", "roads.kitedb", "a", "--memory-bytes", "100"]);
    assert!(run.code == 1 && run.err.contains("100 bytes") && run.err.contains("--memory-bytes"), "{run:?}");
    // What is told to be given is what there is.
    let run = folder.run(&["path", "roads.kitedb", "a", "e", "--memory-bytes", "10"]);
    assert!(run.code == 1 && run.err.contains("--memory-bytes") && !run.err.contains("--depth"), "{run:?}");
    let run = folder.run(&["path", "roads.kitedb", "a", "e", "--in", "--both"]);
    assert_eq!(run.code, 2, "{run:?}");
}
