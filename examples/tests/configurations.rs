//! The configuration files are right, and say what they are there for.

use std::{fs, path::Path};

use gateway::{Balance, Sessions, Settings};
use mcp_gateway::Config;
use mcp_transport::Era;

fn read(name: &str) -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    Config::read(&file).unwrap_or_else(|problems| panic!("{problems}")).gateway
}

#[test]
fn every_configuration_file_is_right() {
    let mut read_files = Vec::new();
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".toml") && name != "Cargo.toml" {
            assert!(!read(&name).upstreams.is_empty(), "{name}");
            read_files.push(name);
        }
    }
    read_files.sort();
    assert_eq!(
        read_files,
        [
            "aggregation.toml",
            "batch.toml",
            "bridge.toml",
            "cache.toml",
            "chain.toml",
            "policy.toml",
            "replicas.toml",
            "search.toml",
            "stages.toml"
        ]
    );
}

#[test]
fn an_aggregation_has_several_upstreams() {
    assert_eq!(
        read("aggregation.toml").upstreams.into_keys().collect::<Vec<_>>(),
        ["calculator", "clock", "files"]
    );
}

#[test]
fn replicas_are_one_upstream() {
    let tools = &read("replicas.toml").upstreams["tools"];
    assert_eq!((tools.replicas.len(), tools.balance), (3, Balance::LeastBusy));
}

#[test]
fn a_bridge_speaks_both_eras() {
    let upstreams = read("bridge.toml").upstreams;
    assert_eq!((upstreams["older"].era, upstreams["newer"].era), (Era::Legacy, Era::Modern));
    assert_eq!(upstreams["older"].sessions, Sessions::PerClient);
}
