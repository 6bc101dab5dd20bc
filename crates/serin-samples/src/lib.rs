//! The services that the samples' manifests run: bookinfo, greet, chain and web, each able to misbehave on request.
