// What the tests share: the crate `iu` in miniature.
pub use core::panic::PanicInfo;

#[repr(C)]
pub struct Xdp {
    data: *const u8,
    end: *const u8,
}

#[repr(C)]
pub struct Marker {
    pub name: [u8; 32],
    pub hook: u32,
    pub on_fault: i32,
    pub func: extern "C" fn(*mut Xdp) -> u32,
    pub args: u64,
}
unsafe impl Sync for Marker {}

unsafe extern "C" {
    fn iu_rt_panic(file: *const u8, len: u64, line: u32, col: u32) -> !;
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let (file, line, col) = match info.location() {
        Some(l) => (l.file(), l.line(), l.column()),
        None => ("", 0, 0),
    };
    unsafe { iu_rt_panic(file.as_ptr(), file.len() as u64, line, col) }
}

pub const fn name(s: &str) -> [u8; 32] {
    let mut n = [0u8; 32];
    let mut i = 0;
    while i < s.len() {
        n[i] = s.as_bytes()[i];
        i += 1;
    }
    n
}

pub fn packet<'a>(ctx: *mut Xdp) -> &'a [u8] {
    unsafe {
        let ctx = &*ctx;
        core::slice::from_raw_parts(ctx.data, ctx.end as usize - ctx.data as usize)
    }
}

#[macro_export]
macro_rules! program {
    ($name:literal, $f:ident) => {
        const _: () = {
            extern "C" fn shim(ctx: *mut marker::Xdp) -> u32 {
                $f(marker::packet(ctx))
            }
            #[used]
            #[unsafe(link_section = ".iu.marker")]
            static MARKER: marker::Marker = marker::Marker {
                name: marker::name($name),
                hook: 1,
                on_fault: 2,
                func: shim,
                args: 0,
            };
        };
    };
}
