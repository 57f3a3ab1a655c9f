// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Compares `iu::abi` with `kernel/module/iu_abi.h`, by a C program that prints
//! the header's sizes, offsets and numbers.

use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use iu::abi;

type Marker = abi::Marker<extern "C" fn()>;

/// What the header's expressions must be.
fn expected() -> Vec<(&'static str, usize)> {
    vec![
        ("IU_ABI_VERSION", abi::ABI_VERSION.into()),
        ("IU_ABI_NAME_LEN", abi::NAME_LEN),
        ("IU_HOOK_XDP", abi::hook::XDP as usize),
        ("IU_HOOK_TC", abi::hook::TC as usize),
        ("IU_HOOK_KPROBE", abi::hook::KPROBE as usize),
        ("IU_HOOK_TRACEPOINT", abi::hook::TRACEPOINT as usize),
        ("IU_HOOK_PERF_EVENT", abi::hook::PERF_EVENT as usize),
        ("IU_HOOK_FENTRY", abi::hook::FENTRY as usize),
        ("IU_HOOK_FEXIT", abi::hook::FEXIT as usize),
        ("IU_HOOK_TP_BTF", abi::hook::TP_BTF as usize),
        ("IU_HOOK_LSM", abi::hook::LSM as usize),
        ("IU_HOOK_CGROUP_SKB", abi::hook::CGROUP_SKB as usize),
        ("IU_HOOK_CGROUP_SOCK_ADDR", abi::hook::CGROUP_SOCK_ADDR as usize),
        ("IU_HOOK_SOCKET_FILTER", abi::hook::SOCKET_FILTER as usize),
        ("IU_HOOK_KRETPROBE", abi::hook::KRETPROBE as usize),
        ("IU_HOOK_UPROBE", abi::hook::UPROBE as usize),
        ("IU_ARG_U8", abi::arg::U8 as usize),
        ("IU_ARG_U16", abi::arg::U16 as usize),
        ("IU_ARG_U32", abi::arg::U32 as usize),
        ("IU_ARG_U64", abi::arg::U64 as usize),
        ("IU_ARG_I8", abi::arg::I8 as usize),
        ("IU_ARG_I16", abi::arg::I16 as usize),
        ("IU_ARG_I32", abi::arg::I32 as usize),
        ("IU_ARG_I64", abi::arg::I64 as usize),
        ("IU_ARG_PTR", abi::arg::PTR as usize),
        ("IU_ARG_BOOL", abi::arg::BOOL as usize),
        ("IU_ARG_ANY", abi::arg::ANY as usize),
        ("IU_ARGS_MAX", abi::arg::MAX),
        ("IU_SOCK_ADDR_RETURNED", abi::SOCK_ADDR_RETURNED as usize),
        ("IU_PARAM_BOOL", abi::param_type::BOOL as usize),
        ("IU_PARAM_U64", abi::param_type::U64 as usize),
        ("IU_PARAM_I64", abi::param_type::I64 as usize),
        ("BPF_MAP_TYPE_HASH", abi::map_type::HASH as usize),
        ("BPF_MAP_TYPE_ARRAY", abi::map_type::ARRAY as usize),
        ("BPF_MAP_TYPE_PERF_EVENT_ARRAY", abi::map_type::PERF_EVENT_ARRAY as usize),
        ("BPF_MAP_TYPE_PERCPU_HASH", abi::map_type::PERCPU_HASH as usize),
        ("BPF_MAP_TYPE_PERCPU_ARRAY", abi::map_type::PERCPU_ARRAY as usize),
        ("BPF_MAP_TYPE_STACK_TRACE", abi::map_type::STACK_TRACE as usize),
        ("BPF_MAP_TYPE_LRU_HASH", abi::map_type::LRU_HASH as usize),
        ("BPF_MAP_TYPE_LRU_PERCPU_HASH", abi::map_type::LRU_PERCPU_HASH as usize),
        ("BPF_MAP_TYPE_LPM_TRIE", abi::map_type::LPM_TRIE as usize),
        ("BPF_MAP_TYPE_DEVMAP", abi::map_type::DEVMAP as usize),
        ("BPF_MAP_TYPE_CPUMAP", abi::map_type::CPUMAP as usize),
        ("BPF_MAP_TYPE_QUEUE", abi::map_type::QUEUE as usize),
        ("BPF_MAP_TYPE_STACK", abi::map_type::STACK as usize),
        ("BPF_MAP_TYPE_DEVMAP_HASH", abi::map_type::DEVMAP_HASH as usize),
        ("BPF_MAP_TYPE_RINGBUF", abi::map_type::RINGBUF as usize),
        ("BPF_MAP_TYPE_BLOOM_FILTER", abi::map_type::BLOOM_FILTER as usize),
        ("BPF_F_NO_PREALLOC", abi::map_flags::NO_PREALLOC as usize),
        ("BPF_F_CURRENT_CPU", abi::call::CURRENT_CPU as usize),
        ("BPF_F_USER_STACK", abi::call::USER_STACK as usize),
        ("BPF_F_REUSE_STACKID", abi::call::REUSE_STACKID as usize),
        ("BPF_RB_NO_WAKEUP", abi::call::NO_WAKEUP as usize),
        ("BPF_RB_FORCE_WAKEUP", abi::call::FORCE_WAKEUP as usize),
        ("BPF_ANY", abi::update::ANY as usize),
        ("BPF_NOEXIST", abi::update::NOEXIST as usize),
        ("BPF_EXIST", abi::update::EXIST as usize),
        ("XDP_ABORTED", iu::XdpAction::Aborted as usize),
        ("XDP_DROP", iu::XdpAction::Drop as usize),
        ("XDP_PASS", iu::XdpAction::Pass as usize),
        ("XDP_TX", iu::XdpAction::Tx as usize),
        ("XDP_REDIRECT", iu::XdpAction::Redirect as usize),
        ("(__u64)TC_ACT_UNSPEC", iu::TcAction::Unspec as isize as usize),
        ("TC_ACT_OK", iu::TcAction::Ok as usize),
        ("TC_ACT_SHOT", iu::TcAction::Shot as usize),
        ("TC_ACT_PIPE", iu::TcAction::Pipe as usize),
        ("sizeof(struct iu_abi_marker)", size_of::<Marker>()),
        ("offsetof(struct iu_abi_marker, name)", offset_of!(Marker, name)),
        ("offsetof(struct iu_abi_marker, hook)", offset_of!(Marker, hook)),
        ("offsetof(struct iu_abi_marker, on_fault)", offset_of!(Marker, on_fault)),
        ("offsetof(struct iu_abi_marker, func)", offset_of!(Marker, func)),
        ("offsetof(struct iu_abi_marker, args)", offset_of!(Marker, args)),
        ("sizeof(struct iu_abi_map)", size_of::<abi::Map>()),
        ("offsetof(struct iu_abi_map, name)", offset_of!(abi::Map, name)),
        ("offsetof(struct iu_abi_map, type)", offset_of!(abi::Map, map_type)),
        ("offsetof(struct iu_abi_map, key_size)", offset_of!(abi::Map, key_size)),
        ("offsetof(struct iu_abi_map, value_size)", offset_of!(abi::Map, value_size)),
        ("offsetof(struct iu_abi_map, max_entries)", offset_of!(abi::Map, max_entries)),
        ("offsetof(struct iu_abi_map, map_flags)", offset_of!(abi::Map, map_flags)),
        ("offsetof(struct iu_abi_map, stride)", offset_of!(abi::Map, stride)),
        ("offsetof(struct iu_abi_map, map)", offset_of!(abi::Map, map)),
        ("offsetof(struct iu_abi_map, data)", offset_of!(abi::Map, data)),
        ("offsetof(struct iu_abi_map, role)", offset_of!(abi::Map, role)),
        ("offsetof(struct iu_abi_map, reserved)", offset_of!(abi::Map, reserved)),
        ("IU_MAP_ROLE_NONE", abi::map_role::NONE as usize),
        ("IU_MAP_ROLE_SIZED", abi::map_role::SIZED as usize),
        ("IU_MAP_ROLE_GAPS", abi::map_role::GAPS as usize),
        ("sizeof(struct iu_abi_param)", size_of::<abi::Param>()),
        ("offsetof(struct iu_abi_param, name)", offset_of!(abi::Param, name)),
        ("offsetof(struct iu_abi_param, type)", offset_of!(abi::Param, param_type)),
        ("offsetof(struct iu_abi_param, min)", offset_of!(abi::Param, min)),
        ("offsetof(struct iu_abi_param, max)", offset_of!(abi::Param, max)),
        ("offsetof(struct iu_abi_param, value)", offset_of!(abi::Param, value)),
        ("IU_ABI_CNAME_LEN", abi::CNAME_LEN),
        ("IU_KRELOC_FIELD", abi::kreloc_kind::FIELD as usize),
        ("IU_KRELOC_SIZE", abi::kreloc_kind::SIZE as usize),
        ("IU_KRELOC_ENUM", abi::kreloc_kind::ENUM as usize),
        ("IU_KRELOC_CONFIG", abi::kreloc_kind::CONFIG as usize),
        ("IU_KRELOC_TRACE", abi::kreloc_kind::TRACE as usize),
        ("IU_KRELOC_F_OPTIONAL", abi::kreloc_flags::OPTIONAL as usize),
        ("IU_KRELOC_F_INT", abi::kreloc_flags::INT as usize),
        ("IU_KRELOC_F_PTR", abi::kreloc_flags::PTR as usize),
        ("IU_KRELOC_F_INSIDE", abi::kreloc_flags::INSIDE as usize),
        ("sizeof(struct iu_abi_kreloc)", size_of::<abi::KReloc>()),
        ("offsetof(struct iu_abi_kreloc, field)", offset_of!(abi::KReloc, field)),
        ("offsetof(struct iu_abi_kreloc, kind)", offset_of!(abi::KReloc, kind)),
        ("offsetof(struct iu_abi_kreloc, want)", offset_of!(abi::KReloc, want)),
        ("offsetof(struct iu_abi_kreloc, exists)", offset_of!(abi::KReloc, exists)),
        ("offsetof(struct iu_abi_kreloc, offset)", offset_of!(abi::KReloc, offset)),
        ("offsetof(struct iu_abi_kreloc, size)", offset_of!(abi::KReloc, size)),
        ("offsetof(struct iu_abi_kreloc, bits)", offset_of!(abi::KReloc, bits)),
        ("offsetof(struct iu_abi_kreloc, value)", offset_of!(abi::KReloc, value)),
        ("sizeof(struct iu_ctx_tc)", size_of::<abi::CtxTc>()),
        ("offsetof(struct iu_ctx_tc, data)", offset_of!(abi::CtxTc, data)),
        ("offsetof(struct iu_ctx_tc, data_end)", offset_of!(abi::CtxTc, data_end)),
        ("offsetof(struct iu_ctx_tc, skb)", offset_of!(abi::CtxTc, skb)),
        ("offsetof(struct iu_ctx_tc, len)", offset_of!(abi::CtxTc, len)),
        ("offsetof(struct iu_ctx_tc, ifindex)", offset_of!(abi::CtxTc, ifindex)),
        ("offsetof(struct iu_ctx_tc, mark)", offset_of!(abi::CtxTc, mark)),
        ("offsetof(struct iu_ctx_tc, protocol)", offset_of!(abi::CtxTc, protocol)),
        ("sizeof(struct iu_regs_x86_64)", size_of::<abi::Regs>()),
        ("offsetof(struct iu_regs_x86_64, r15)", offset_of!(abi::Regs, r15)),
        ("offsetof(struct iu_regs_x86_64, bp)", offset_of!(abi::Regs, bp)),
        ("offsetof(struct iu_regs_x86_64, bx)", offset_of!(abi::Regs, bx)),
        ("offsetof(struct iu_regs_x86_64, r11)", offset_of!(abi::Regs, r11)),
        ("offsetof(struct iu_regs_x86_64, ax)", offset_of!(abi::Regs, ax)),
        ("offsetof(struct iu_regs_x86_64, cx)", offset_of!(abi::Regs, cx)),
        ("offsetof(struct iu_regs_x86_64, dx)", offset_of!(abi::Regs, dx)),
        ("offsetof(struct iu_regs_x86_64, si)", offset_of!(abi::Regs, si)),
        ("offsetof(struct iu_regs_x86_64, di)", offset_of!(abi::Regs, di)),
        ("offsetof(struct iu_regs_x86_64, orig_ax)", offset_of!(abi::Regs, orig_ax)),
        ("offsetof(struct iu_regs_x86_64, ip)", offset_of!(abi::Regs, ip)),
        ("offsetof(struct iu_regs_x86_64, cs)", offset_of!(abi::Regs, cs)),
        ("offsetof(struct iu_regs_x86_64, flags)", offset_of!(abi::Regs, flags)),
        ("offsetof(struct iu_regs_x86_64, sp)", offset_of!(abi::Regs, sp)),
        ("offsetof(struct iu_regs_x86_64, ss)", offset_of!(abi::Regs, ss)),
        ("sizeof(struct iu_ctx_perf_event)", size_of::<abi::CtxPerfEvent>()),
        ("offsetof(struct iu_ctx_perf_event, regs)", offset_of!(abi::CtxPerfEvent, regs)),
        ("offsetof(struct iu_ctx_perf_event, period)", offset_of!(abi::CtxPerfEvent, period)),
        ("offsetof(struct iu_ctx_perf_event, addr)", offset_of!(abi::CtxPerfEvent, addr)),
        ("offsetof(struct iu_ctx_perf_event, user)", offset_of!(abi::CtxPerfEvent, user)),
        ("sizeof(struct iu_ctx_record)", size_of::<abi::CtxRecord>()),
        ("offsetof(struct iu_ctx_record, data)", offset_of!(abi::CtxRecord, data)),
        ("offsetof(struct iu_ctx_record, len)", offset_of!(abi::CtxRecord, len)),
        ("sizeof(struct iu_ctx_args)", size_of::<abi::CtxArgs>()),
        ("offsetof(struct iu_ctx_args, args)", offset_of!(abi::CtxArgs, args)),
        ("offsetof(struct iu_ctx_args, count)", offset_of!(abi::CtxArgs, count)),
        ("offsetof(struct iu_ctx_args, ret)", offset_of!(abi::CtxArgs, ret)),
        ("sizeof(struct iu_ctx_sock_addr)", size_of::<abi::CtxSockAddr>()),
        ("offsetof(struct iu_ctx_sock_addr, family)", offset_of!(abi::CtxSockAddr, family)),
        ("offsetof(struct iu_ctx_sock_addr, type)", offset_of!(abi::CtxSockAddr, socket_type)),
        ("offsetof(struct iu_ctx_sock_addr, protocol)", offset_of!(abi::CtxSockAddr, protocol)),
        ("offsetof(struct iu_ctx_sock_addr, port)", offset_of!(abi::CtxSockAddr, port)),
        ("offsetof(struct iu_ctx_sock_addr, addr)", offset_of!(abi::CtxSockAddr, addr)),
        ("offsetof(struct iu_ctx_sock_addr, changed)", offset_of!(abi::CtxSockAddr, changed)),
    ]
}

#[test]
fn layouts_match_the_header() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/module/iu_abi.h");
    if !header.exists() {
        eprintln!("skipped: {} is not there (a copy of the crate alone)", header.display());
        return;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut c = String::from(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/bpf.h>\n\
         #include <linux/pkt_cls.h>\n#define IU_ABI_NO_TYPES\n",
    );
    c += &format!("#include \"{}\"\nint main(void) {{\n", header.display());
    for (e, _) in expected() {
        c += &format!("printf(\"%s=%llu\\n\", \"{e}\", (unsigned long long)({e}));\n");
    }
    c += "return 0; }\n";
    let (src, exe) = (dir.join("abi.c"), dir.join("abi"));
    std::fs::write(&src, c).unwrap();
    let ok = Command::new("cc").arg("-o").arg(&exe).arg(&src).status().expect("cc").success();
    assert!(ok, "the header does not compile");
    let out = String::from_utf8(Command::new(&exe).output().unwrap().stdout).unwrap();
    let got: BTreeMap<&str, usize> = out
        .lines()
        .filter_map(|l| l.rsplit_once('='))
        .map(|(k, v)| (k, v.parse::<u64>().unwrap() as usize))
        .collect();
    for (e, want) in expected() {
        assert_eq!(got.get(e), Some(&want), "{e}");
    }
}

/// The crate binds the symbols that the header declares, and no other.
#[test]
fn symbols_match_the_header() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(header) = std::fs::read_to_string(root.join("../../kernel/module/iu_abi.h")) else {
        return;
    };
    let bindings = std::fs::read_to_string(root.join("src/sys/kernel.rs")).unwrap();
    let bound: Vec<&str> = bindings
        .split("pub(crate) fn ")
        .filter_map(|s| s.split('(').next())
        .filter(|s| s.starts_with("iu_rt_"))
        .collect();
    assert!(bound.len() > 10, "{bound:?}");
    for b in &bound {
        assert!(header.contains(&format!(", {b}, (")), "the header has no {b}");
    }
    // What the pass alone calls.
    let pass = ["iu_rt_poll", "iu_rt_stack_overflow"];
    for line in header.lines().filter(|l| l.trim_start().starts_with("X(") && l.contains("iu_rt_"))
    {
        let name = line.split(", ").nth(1).unwrap();
        assert!(bound.contains(&name) || pass.contains(&name), "the crate does not bind {name}");
    }
}
