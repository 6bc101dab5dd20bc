//! What serves: Services, ServiceEntries, workloads and their endpoints.
