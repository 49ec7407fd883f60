/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structs and constants that the programs read, declared by hand. Only the fields
 * that are used are here. They are relocated against the running kernel's BTF at load (CO-RE), so a
 * build needs no vmlinux.h.
 */
#ifndef SOCKMESH_KERNEL_H
#define SOCKMESH_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SM_KERNEL_STRUCT __attribute__((preserve_access_index))

struct net_device;

struct list_head {
	struct list_head *next;
} SM_KERNEL_STRUCT;

typedef struct {
	__u32 val;
} kuid_t;

struct ns_common {
	unsigned int inum;
} SM_KERNEL_STRUCT;

struct user_namespace {
	struct user_namespace *parent;
	int level; /* 0: the initial one */
	kuid_t owner;
	struct ns_common ns;
} SM_KERNEL_STRUCT;

struct net {
	__u64 net_cookie;
	struct user_namespace *user_ns;
	struct ns_common ns;
	struct list_head dev_base_head;
} SM_KERNEL_STRUCT;

struct kernfs_node {
	__u64 id;
} SM_KERNEL_STRUCT;

struct cgroup {
	int level; /* 0: the root */
	struct kernfs_node *kn;
	struct cgroup *ancestors[1]; /* by level, as many as `level` says */
} SM_KERNEL_STRUCT;

/* Before Linux 6.1. */
struct cgroup___ids {
	__u64 ancestor_ids[1];
} SM_KERNEL_STRUCT;

struct sock_cgroup_data {
	struct cgroup *cgroup;
} SM_KERNEL_STRUCT;

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	atomic_t refs;
} refcount_t;

struct sock_common {
	unsigned char skc_ipv6only : 1;
	unsigned long skc_flags;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	refcount_t skc_refcnt;
	unsigned char skc_state; /* BPF_TCP_* */
	int skc_incoming_cpu;	 /* of UDP: -1 until a connected socket has received something */
} SM_KERNEL_STRUCT;

/* Of the route that a socket's packets take. */
struct dst_entry {
	struct net_device *dev;
} SM_KERNEL_STRUCT;

struct sock {
	struct sock_common __sk_common;
	struct dst_entry *sk_dst_cache;
	struct sock_cgroup_data sk_cgrp_data;
	int sk_err;
	__u16 sk_protocol;
} SM_KERNEL_STRUCT;

struct tcp_sock {
	__u8 bpf_sock_ops_cb_flags;
	__u64 tcp_clock_cache; /* the monotonic time when TCP last looked */
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 total_retrans;
	__u32 srtt_us;
} SM_KERNEL_STRUCT;

/* What an application holds of an MPTCP connection. TCP runs in sockets of the kernel's own. */
struct mptcp_sock {
	struct sock *first; /* the one that connect() is done with */
} SM_KERNEL_STRUCT;

/* What a sock_addr program's context is in the kernel. */
struct bpf_sock_addr_kern {
	struct sock *sk;
} SM_KERNEL_STRUCT;

/* The same of a sockops program's. */
struct bpf_sock_ops_kern {
	struct sock *sk;
} SM_KERNEL_STRUCT;

struct inet_connection_sock_af_ops {
	__u16 net_header_len;
} SM_KERNEL_STRUCT;

struct inet_connection_sock {
	const struct inet_connection_sock_af_ops *icsk_af_ops;
} SM_KERNEL_STRUCT;

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
	unsigned char ifa_scope;
} SM_KERNEL_STRUCT;

struct in_device {
	struct in_ifaddr *ifa_list;
} SM_KERNEL_STRUCT;

struct in6_addr {
	__u8 bytes[16];
};

struct inet6_ifaddr {
	struct in6_addr addr;
	struct list_head if_list;
} SM_KERNEL_STRUCT;

struct inet6_dev {
	struct list_head addr_list;
} SM_KERNEL_STRUCT;

struct net_device {
	struct list_head dev_list;
	unsigned int flags;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
} SM_KERNEL_STRUCT;

struct css_set {
	struct cgroup *dfl_cgrp; /* of cgroup v2 */
} SM_KERNEL_STRUCT;

struct nsproxy {
	struct net *net_ns;
} SM_KERNEL_STRUCT;

struct task_struct {
	int tgid;
	struct task_struct *group_leader;
	__u64 start_boottime;
	struct css_set *cgroups;
	struct nsproxy *nsproxy;
	char comm[16];
} SM_KERNEL_STRUCT;

/* enum sock_flags of include/net/sock.h: the peer's FIN has been received. */
#define SM_SOCK_DONE 1

#define SM_IFF_UP	     (1 << 0)
#define SM_IFF_LOOPBACK	     (1 << 3)
#define SM_RT_SCOPE_UNIVERSE 0

/* What a cgroup program answers. */
#define SM_PROCEED 1
#define SM_DENY	   0

/* From include/uapi/linux/in.h and asm-generic/errno.h, which would include libc's headers. */
#define IPPROTO_TCP   6
#define IPPROTO_UDP   17
#define IPPROTO_MPTCP 262
#define AF_INET	      2
#define AF_INET6      10
#define ECONNRESET    104
#define ETIMEDOUT     110
#define ECONNREFUSED  111
#define EHOSTDOWN     112
#define EHOSTUNREACH  113
#define ENETUNREACH   101
#define ENETDOWN      100
#define ENOPROTOOPT   92
#define EPROTO	      71
#define EPIPE	      32
#define EACCES	      13
#define EAFNOSUPPORT  97

/*
 * The kernel's own view of a context or a pointer, from Linux 6.2 on: neither costs a call, and the
 * fields are read like any memory. Before, the verifier drops what is behind sm_has_casts().
 */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

enum special_kfunc_type { KF_bpf_rdonly_cast = 0 };

#define sm_has_casts() bpf_core_enum_value_exists(enum special_kfunc_type, KF_bpf_rdonly_cast)

/* The object at this address, which is a number or a pointer of any type. Only behind
 * sm_has_casts(). Memory that is not mapped reads as zero. */
#define SM_CAST(type, address)                                                                     \
	((type *)bpf_rdonly_cast((const void *)(long)(address), bpf_core_type_id_kernel(type)))

/* A field of the object at this address, through as many pointers as there are arguments: one load
 * each, or one helper's call each before Linux 6.2. */
#define SM_READ(type, address, ...)                                                                \
	({                                                                                         \
		type *sm_object = (type *)(long)(address);                                         \
		___type(sm_object, __VA_ARGS__) sm_field;                                          \
		if (sm_has_casts())                                                                \
			sm_field = ___arrow(SM_CAST(type, sm_object), __VA_ARGS__);                \
		else                                                                               \
			sm_field = BPF_CORE_READ(sm_object, __VA_ARGS__);                          \
		sm_field;                                                                          \
	})

/* Rare branches are moved away, so that the straight path stays in few cache lines. */
#define unlikely(x) __builtin_expect(!!(x), 0)
#define likely(x)   __builtin_expect(!!(x), 1)

/*
 * A global function of a header. The verifier looks at a global function once and with any
 * argument, instead of once for every way that leads to it. What seldom runs also stays out of the
 * code and the stack of what mostly runs. A call costs about 8 ns where the kernel guards returns.
 * Weak: the compiler must not conclude from the function's code what the verifier cannot see.
 */
#define SM_VERIFIED_ONCE __weak __noinline

#define READ_ONCE(x)	 (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

#endif /* SOCKMESH_KERNEL_H */
