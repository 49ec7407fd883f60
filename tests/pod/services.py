# SPDX-License-Identifier: Apache-2.0
"""Services as Envoy resources in JSON, for sockmesh-xds."""
TYPE = "type.googleapis.com/envoy."


def address(ip, port):
    return {"address": {"socket_address": {"address": ip, "port_value": port}}}


def service(name, vip, port, endpoints):
    proxy = {"@type": TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": name, "cluster": name}
    yield {"@type": TYPE + "config.listener.v3.Listener", "name": name, **address(vip, port),
           "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}]}
    yield {"@type": TYPE + "config.cluster.v3.Cluster", "name": name, "type": "EDS", "connect_timeout": "1s",
           "eds_cluster_config": {"eds_config": {"ads": {}}}}
    yield {"@type": TYPE + "config.endpoint.v3.ClusterLoadAssignment", "cluster_name": name,
           "endpoints": [{"lb_endpoints": [{"endpoint": address(*one)} for one in endpoints]}]}


def few():
    return list(service("shop", "10.96.0.80", 80, [("127.80.0.1", 8080)]))


def many(count, endpoints):
    made = []
    for number in range(count):
        hosts = [(f"10.{128 + one}.{number >> 8}.{number & 255}", 8080) for one in range(endpoints)]
        made += service(f"s{number}", f"10.97.{number >> 8}.{number & 255}", 80, hosts)
    return made
