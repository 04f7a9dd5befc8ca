//! The image's config, in the form in which BuildKit's exporter writes it, so that its digest is the same from both.
//!
//! Top-level keys are sorted; history items and `rootfs` are in the order of Go's structs; everything below is canonical JSON. The base's
//! config is edited as a value: fields that byoi does not know survive.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::history::{self, HistoryItem};
use crate::contract;
use crate::digest::Digest;
use crate::json;

/// What a description adds to the base's config.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Additions {
    /// Variables of the description; `PATH` holds `$PATH` or `${PATH}` where the base's goes.
    pub env: BTreeMap<String, String>,
    /// Labels of the description and of the command line.
    pub labels: BTreeMap<String, String>,
    /// The entrypoint.
    pub entrypoint: Vec<String>,
    /// The command.
    pub cmd: Vec<String>,
}

/// A layer of ours, as the config needs it.
#[derive(Debug, Clone)]
pub struct ConfigLayer {
    /// The digest of its tar.
    pub diff_id: Digest,
    /// What made it, for people.
    pub created_by: String,
    /// Its key, for the next build.
    pub key: Digest,
}

/// The PATH of an image whose config has none: what container runtimes use then.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Fields of a base's config that would lie in the new image. `config.Image` is the fourth.
const STALE_FIELDS: [&str; 3] = ["container", "container_config", "docker_version"];

/// The config's bytes.
///
/// `base` is the base's config, an empty object for none; `base_diff_ids` its layers' diff ids; `created` the time of the image and of
/// our history items.
pub fn compose(base: &Map<String, Value>, base_diff_ids: &[Digest], layers: &[ConfigLayer], additions: &Additions, created: Timestamp) -> Vec<u8> {
    let mut top = base.clone();
    STALE_FIELDS.iter().for_each(|field| drop(top.remove(*field)));
    top.insert("architecture".to_owned(), json!(contract::ARCHITECTURE));
    top.insert("os".to_owned(), json!(contract::OS));
    top.insert("created".to_owned(), json!(created.to_string()));
    let settings = top.entry("config").or_insert_with(|| json!({}));
    if !settings.is_object() {
        *settings = json!({});
    }
    if let Value::Object(settings) = settings {
        run_settings(settings, additions);
    }

    let mut history = history::of_base(base, base_diff_ids.len());
    history.extend(layers.iter().map(|layer| HistoryItem::ours(created, &layer.created_by, &layer.key)));
    let diff_ids: Vec<_> = base_diff_ids.iter().copied().chain(layers.iter().map(|layer| layer.diff_id)).collect();
    write(top, &history, &diff_ids)
}

/// Makes `config.…`: what a runtime does with the image.
fn run_settings(settings: &mut Map<String, Value>, additions: &Additions) {
    settings.remove("Image");
    settings.insert("User".to_owned(), json!(contract::CONFIG_USER));
    settings.insert("WorkingDir".to_owned(), json!(contract::HOME));
    settings.insert("Entrypoint".to_owned(), json!(additions.entrypoint));
    settings.insert("Cmd".to_owned(), json!(additions.cmd));
    settings.insert("Env".to_owned(), json!(environment(settings.get("Env"), &additions.env)));

    let ports = settings.entry("ExposedPorts").or_insert_with(|| json!({}));
    if !ports.is_object() {
        *ports = json!({});
    }
    ports[format!("{}/tcp", contract::SERVER_PORT)] = json!({});

    if !additions.labels.is_empty() {
        let labels = settings.entry("Labels").or_insert_with(|| json!({}));
        if !labels.is_object() {
            *labels = json!({});
        }
        additions.labels.iter().for_each(|(name, value)| labels[name] = json!(value));
    }
}

/// The base's variables in their order, ours replacing in place, else following, sorted.
fn environment(base: Option<&Value>, additions: &BTreeMap<String, String>) -> Vec<String> {
    let base: Vec<&str> = base.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let base_path = base.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut ours: BTreeMap<String, String> = additions.clone();
    for (name, value) in contract::CONTRACT_VARIABLES {
        ours.insert((*name).to_owned(), (*value).to_owned());
    }
    if let Some(path) = ours.get_mut("PATH") {
        *path = path.replace("${PATH}", base_path).replace("$PATH", base_path);
    }
    let mut variables = Vec::new();
    for variable in base {
        let name = variable.split('=').next().unwrap_or_default();
        match ours.remove(name) {
            Some(value) => variables.push(format!("{name}={value}")),
            None => variables.push(variable.to_owned()),
        }
    }
    variables.extend(ours.into_iter().map(|(name, value)| format!("{name}={value}")));
    variables
}

fn write(mut top: Map<String, Value>, history: &[HistoryItem], diff_ids: &[Digest]) -> Vec<u8> {
    // Placeholders keep the two fields at their sorted places; their bytes follow Go's structs, not the alphabet.
    top.insert("history".to_owned(), Value::Null);
    top.insert("rootfs".to_owned(), Value::Null);
    let fields: BTreeMap<&str, &Value> = top.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut out = String::from("{");
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_string(&mut out, name);
        out.push(':');
        match name {
            "history" => history::write(&mut out, history),
            "rootfs" => json::write_object(&mut out, [("type", &json!("layers")), ("diff_ids", &json!(diff_ids))]),
            _ => json::write_value(&mut out, value),
        }
    }
    out.push('}');
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("not an object"),
        }
    }

    fn composed(base: Value, diff_ids: usize, additions: &Additions) -> String {
        let diff_ids: Vec<_> = (0..diff_ids).map(|n| Digest::of([n as u8])).collect();
        let layer = ConfigLayer { diff_id: Digest::of("ours"), created_by: "byoi: <files>".to_owned(), key: Digest::of("key") };
        let created = "2026-08-19T10:11:12Z".parse().unwrap();
        String::from_utf8(compose(&object(base), &diff_ids, &[layer], additions, created)).unwrap()
    }

    #[test]
    fn from_nothing() {
        let text = composed(json!({}), 0, &Additions { entrypoint: vec!["/e".to_owned()], ..Additions::default() });
        let key = Digest::of("key");
        let diff_id = Digest::of("ours");
        assert_eq!(
            text,
            format!(
                r#"{{"architecture":"amd64","config":{{"Cmd":[],"Entrypoint":["/e"],"Env":["HOME=/home/sagemaker-user","USER=sagemaker-user"],"ExposedPorts":{{"8888/tcp":{{}}}},"User":"1000:100","WorkingDir":"/home/sagemaker-user"}},"created":"2026-08-19T10:11:12Z","history":[{{"created":"2026-08-19T10:11:12Z","created_by":"byoi: \u003cfiles\u003e","comment":"byoi.v1 key={key}"}}],"os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
            )
        );
    }

    #[test]
    fn the_base_survives_but_for_what_would_lie() {
        let base = json!({
            "zzz": {"b": 1, "a": "&"}, "container": "x", "docker_version": "1", "container_config": {}, "architecture": "amd64", "os": "linux",
            "config": {"Image": "sha256:x", "Healthcheck": {"Test": ["NONE"]}, "User": "root", "Labels": {"a": "1"}, "ExposedPorts": {"80/tcp": {}}},
        });
        let additions = Additions { labels: BTreeMap::from([("b".to_owned(), "<2>".to_owned())]), ..Additions::default() };
        let value: Value = serde_json::from_str(&composed(base, 0, &additions)).unwrap();
        assert_eq!(value["zzz"], json!({"a": "&", "b": 1}));
        assert_eq!(value["config"]["Healthcheck"], json!({"Test": ["NONE"]}));
        assert_eq!(value["config"]["Labels"], json!({"a": "1", "b": "<2>"}));
        assert_eq!(value["config"]["ExposedPorts"], json!({"80/tcp": {}, "8888/tcp": {}}));
        assert_eq!(value["config"]["User"], "1000:100");
        for gone in ["container", "docker_version", "container_config"] {
            assert!(value.get(gone).is_none(), "{gone}");
        }
        assert!(value["config"].get("Image").is_none());
    }

    #[test]
    fn variables_keep_their_places() {
        let base = json!(["B=1", "PATH=/opt/bin:/bin", "HOME=/root", "A=2"]);
        let ours = BTreeMap::from([("PATH", "/x:$PATH:/y"), ("A", "3"), ("Z", "9"), ("C", "c")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        let expected = ["B=1", "PATH=/x:/opt/bin:/bin:/y", "HOME=/home/sagemaker-user", "A=3", "C=c", "USER=sagemaker-user", "Z=9"];
        assert_eq!(environment(Some(&base), &ours), expected);
        assert_eq!(environment(None, &BTreeMap::from([("PATH".to_owned(), "${PATH}:/z".to_owned())]))[1], format!("PATH={DEFAULT_PATH}:/z"));
    }
}
