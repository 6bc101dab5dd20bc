//! Gateway: which ports the edge proxies listen on, for which hosts, with which certificates.

use std::collections::BTreeMap;

resource! {
    Gateway: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "gateways"
    short ["gw"]
}

message! {
    /// The servers of a group of edge proxies.
    pub struct Gateway {
        /// Ports to listen on.
        pub servers: Vec<Server>,
        /// Labels of the proxies' pods. None at all chooses every proxy.
        pub selector: BTreeMap<String, String>,
    }

    /// One port and what is served on it.
    pub struct Server {
        /// The port.
        #[schemars(extend("x-required" = true))]
        pub port: Option<Port>,
        /// Address to listen on instead of all, or `unix://` and a path.
        pub bind: String,
        /// Hosts that are served, `*.`-wildcards allowed, each optionally with the namespace whose VirtualServices may
        /// use it: `namespace/host`, `./host`, `*/host`.
        #[schemars(extend("x-required" = true))]
        pub hosts: Vec<String>,
        /// How TLS is terminated, or that it is passed through.
        pub tls: Option<ServerTlsSettings>,
        /// Of no effect; kept so that old objects can be read.
        pub default_endpoint: String,
        /// A name for statistics, unique among the servers.
        pub name: String,
    }

    /// A port of a server.
    pub struct Port {
        /// Port number.
        #[schemars(extend("x-required" = true))]
        pub number: u32,
        /// Protocol: HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS.
        #[schemars(extend("x-required" = true))]
        pub protocol: String,
        /// A name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Of no effect; kept so that old objects can be read.
        pub target_port: u32,
    }

    /// How a server handles TLS.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1", "message": "only one of credentialName, credentialNames and tlsCertificates can be set"},
    ]))]
    pub struct ServerTlsSettings {
        /// Answer every plain HTTP request with a redirect to https.
        pub https_redirect: bool,
        /// Whether and how TLS is terminated.
        pub mode: ServerTlsMode,
        /// File of the server certificate.
        pub server_certificate: String,
        /// File of the server's private key.
        pub private_key: String,
        /// File of the authorities that may have issued a client's certificate.
        pub ca_certificates: String,
        /// File of revoked client certificates.
        pub ca_crl: String,
        /// Secret with the server's key and certificate, and for `MUTUAL` the authorities, in place of files.
        pub credential_name: String,
        /// Several Secrets, for certificates of different key types.
        #[schemars(length(max = 2))]
        pub credential_names: Vec<String>,
        /// Secret or ConfigMap with the authorities that may have issued a client's certificate.
        pub ca_cert_credential_name: String,
        /// Several pairs of certificate and key files, for different key types.
        #[schemars(length(max = 2))]
        pub tls_certificates: Vec<TlsCertificate>,
        /// Accept any certificate that a client shows, whoever issued it.
        pub insecure_skip_verify: Option<bool>,
        /// Names one of which a client's certificate must have.
        pub subject_alt_names: Vec<String>,
        /// Base64 SHA-256 hashes of public keys, one of which a client's certificate must have.
        pub verify_certificate_spki: Vec<String>,
        /// Hexadecimal SHA-256 hashes, one of which a client's certificate must have.
        pub verify_certificate_hash: Vec<String>,
        /// Lowest version of TLS. The default is 1.2.
        pub min_protocol_version: TlsProtocol,
        /// Highest version of TLS.
        pub max_protocol_version: TlsProtocol,
        /// Cipher suites for versions up to 1.2, in Envoy's names. None at all is the default list.
        pub cipher_suites: Vec<String>,
    }

    /// A certificate and its key.
    pub struct TlsCertificate {
        /// File of the certificate.
        pub server_certificate: String,
        /// File of the private key.
        pub private_key: String,
        /// Of no effect here.
        pub ca_certificates: String,
    }
}

choice! {
    /// Whether and how a server terminates TLS.
    pub enum ServerTlsMode {
        /// Not: the connection is routed by server name as it is.
        Passthrough = "PASSTHROUGH",
        /// With a server certificate only.
        Simple = "SIMPLE",
        /// And clients must show a certificate.
        Mutual = "MUTUAL",
        /// Not, and the server name itself names the destination: for traffic between networks of a mesh.
        AutoPassthrough = "AUTO_PASSTHROUGH",
        /// With certificates of the mesh on both sides.
        IstioMutual = "ISTIO_MUTUAL",
        /// And a certificate that a client shows is checked, but it need not show one.
        OptionalMutual = "OPTIONAL_MUTUAL",
    }

    /// A version of TLS.
    pub enum TlsProtocol {
        /// The default of the field.
        Auto = "TLS_AUTO",
        /// TLS 1.0.
        V1_0 = "TLSV1_0",
        /// TLS 1.1.
        V1_1 = "TLSV1_1",
        /// TLS 1.2.
        V1_2 = "TLSV1_2",
        /// TLS 1.3.
        V1_3 = "TLSV1_3",
    }
}
