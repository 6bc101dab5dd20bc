//! scratch
#[test]
fn run() { for k in serin_api::Kind::all() { let d = k.describe(); println!("{} {:?} {:?}", k.kind, d["required"], d["properties"]["spec"]["required"]); }
 println!("{}", serin_api::Kind::find("security.istio.io","PeerAuthentication").unwrap().describe()["properties"]["spec"]["properties"]["portLevelMtls"]); }
