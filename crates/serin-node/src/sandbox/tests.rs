use std::net::TcpListener;

use super::*;

fn original(accepted: &std::net::TcpStream) -> SocketAddr {
    socket2::SockRef::from(accepted).original_dst_v4().unwrap().as_socket().unwrap()
}

/// A sandbox, or nothing where this machine gives no namespaces.
async fn sandbox(address: Ipv4Addr) -> Option<Sandbox> {
    let plan = Plan { address, local: vec![Ipv4Addr::new(10, 96, 0, 10)], redirect_to: 15001 };
    match Sandbox::start("pod-1".to_owned(), Some(plan)).await {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: namespaces need root or a user namespace ({error})");
            None
        }
        made => Some(made.unwrap()),
    }
}

#[tokio::test]
async fn connections_to_elsewhere_arrive_at_the_proxy_and_tell_where_they_wanted_to_go() {
    let Some(pod) = sandbox(Ipv4Addr::new(10, 244, 0, 7)).await else { return };
    let proxy = pod.run(|| TcpListener::bind("127.0.0.1:15001")).await.unwrap().unwrap();
    for wanted in ["10.96.3.4:80", "8.8.8.8:443", "10.244.0.8:9080"] {
        let wanted: SocketAddr = wanted.parse().unwrap();
        let stream = pod.connect(wanted).await.unwrap();
        let (accepted, _) = proxy.accept().unwrap();
        assert_eq!(original(&accepted), wanted);
        assert_eq!(stream.local_addr().unwrap().ip(), Ipv4Addr::new(10, 244, 0, 7));
    }
}

#[tokio::test]
async fn connections_to_the_pod_itself_and_to_its_dns_are_left_alone() {
    let Some(pod) = sandbox(Ipv4Addr::new(10, 244, 0, 9)).await else { return };
    let server = pod.run(|| TcpListener::bind("0.0.0.0:8080")).await.unwrap().unwrap();
    for wanted in ["127.0.0.1:8080", "10.244.0.9:8080", "10.96.0.10:8080"] {
        let wanted: SocketAddr = wanted.parse().unwrap();
        let stream = pod.connect(wanted).await.unwrap();
        let (accepted, _) = server.accept().unwrap();
        assert_eq!(accepted.local_addr().unwrap(), wanted);
        drop(stream);
    }
}

#[tokio::test]
async fn two_pods_listen_on_the_same_port_and_do_not_hear_each_other() {
    let Some(one) = sandbox(Ipv4Addr::new(10, 244, 0, 10)).await else { return };
    let Some(other) = sandbox(Ipv4Addr::new(10, 244, 0, 11)).await else { return };
    for pod in [&one, &other] {
        let listener = pod.run(|| TcpListener::bind("0.0.0.0:80")).await.unwrap();
        assert!(listener.is_ok());
    }
    let refused = one.connect("10.244.0.11:80".parse().unwrap()).await;
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_pod_has_its_own_host_name_and_processes() {
    let Some(pod) = sandbox(Ipv4Addr::new(10, 244, 0, 12)).await else { return };
    let mut command = Command::new("sh");
    command.args(["-c", "uname -n; echo $$"]).stdout(std::process::Stdio::piped());
    let child = pod.spawn(command, None).await.unwrap();
    let output = child.child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "pod-1\n1\n");
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$"]).stdout(std::process::Stdio::piped());
    let output = pod.spawn(command, None).await.unwrap().child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
}
