// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Reads the kernel's own structs: one object for kernels whose layout differs.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;
use iu::{kconfig, kernel_enum, kernel_size, kernel_struct};

kernel_struct! {
    /// A packet in the network stack.
    struct sk_buff {
        dev: *net_device,
        len: u32,
        mark: u32,
        pkt_type: u8,
        /// A bit field that came with 6.11.
        tstamp_type?: u8,
        /// No kernel has it.
        no_such_member?: u32,
        /// Never read, so it is no requirement.
        nor_this: u32,
    }

    /// An interface.
    struct net_device {
        ifindex: i32,
        mtu: u32,
        name: [u8; 16],
        dev.kobj.name as kobj_name: *c_string,
    }

    /// Text that ends in NUL.
    struct c_string {}
}

/// What was read, for who looks at the map.
#[plain]
struct Seen {
    ifindex: u32,
    mtu: u32,
    name: [u8; 16],
    kobj_name: [u8; 8],
    len: u32,
    pkt_type: u32,
    /// 255: the member is not there.
    tstamp_type: u32,
    missing: u32,
    sk_buff: u32,
    cwr: u32,
    hz: u64,
    smp: u32,
    faults: u32,
}

#[map]
static SEEN: Array<Seen, 1> = Array::new();

fn read(skb: sk_buff) -> Result<Seen, Errno> {
    use iu::kernel::Type;
    let dev = skb.dev()?;
    let nowhere = sk_buff::at(iu::kernel::Ptr::new(0xdead_0000_0000_0000));
    Ok(Seen {
        ifindex: dev.ifindex()? as u32,
        mtu: dev.mtu()?,
        name: dev.name()?,
        kobj_name: dev.kobj_name()?.ptr().read()?,
        len: skb.len()?,
        pkt_type: skb.pkt_type()?.into(),
        tstamp_type: skb.tstamp_type()?.map_or(255, u32::from),
        missing: skb.no_such_member()?.is_none().into(),
        sk_buff: kernel_size!(struct sk_buff) as u32,
        cwr: kernel_enum!(enum tcp_ca_state, TCP_CA_CWR) as u32,
        hz: kconfig!(HZ: u64).unwrap_or(0),
        smp: kconfig!(SMP).into(),
        faults: nowhere.mark().is_err().into(),
    })
}

/// Reads what there is to know of the packet.
#[tc(on_fault = unspec)]
fn look(ctx: TcContext) -> TcAction {
    if let Ok(seen) = read(ctx.kernel()) {
        let _ = SEEN.set(0, seen);
    }
    TcAction::Unspec
}

#[cfg(test)]
mod tests {
    use super::*;
    use iu::host;

    #[test]
    fn reads_where_it_is_told() {
        host::set_field("struct net_device", "ifindex", 4, 4);
        host::set_field("struct net_device", "mtu", 8, 2);
        host::set_field("struct net_device", "name", 12, 16);
        host::set_field("struct net_device", "dev.kobj.name", 32, 8);
        host::set_field("struct sk_buff", "dev", 8, 8);
        host::set_field("struct sk_buff", "len", 0, 4);
        host::set_field("struct sk_buff", "mark", 12, 4);
        host::set_bits("struct sk_buff", "pkt_type", 4, 1, 2, 3);
        host::set_number("enum tcp_ca_state", "TCP_CA_CWR", 2);
        host::set_number("struct sk_buff", "", 16);
        host::set_number("HZ", "", 250);
        let mut dev = [0u8; 40];
        dev[4] = 7;
        dev[8..10].copy_from_slice(&1500u16.to_le_bytes());
        dev[12..16].copy_from_slice(b"eth0");
        dev[32..40].copy_from_slice(&0x3000u64.to_le_bytes());
        let mut skb = [0u8; 16];
        skb[0] = 60;
        skb[4] = 0b0001_0111;
        skb[8..16].copy_from_slice(&0x2000u64.to_le_bytes());
        host::set_memory(0x1000, &skb);
        host::set_memory(0x2000, &dev);
        host::set_memory(0x3000, b"eth0\0\0\0\0");

        use iu::kernel::{Ptr, Type};
        let s = read(sk_buff::at(Ptr::new(0x1000))).unwrap();
        assert_eq!((s.ifindex, s.mtu, s.len, s.pkt_type), (7, 1500, 60, 5));
        assert_eq!(&s.name[..5], b"eth0\0");
        assert_eq!((s.tstamp_type, s.missing, s.faults), (255, 1, 1));
        assert_eq!((s.sk_buff, s.cwr, s.hz, s.smp), (16, 2, 250, 0));
        assert!(read(sk_buff::at(Ptr::new(0x5000))).is_err());
    }
}
