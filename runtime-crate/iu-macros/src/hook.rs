// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! `#[xdp]`, `#[kprobe]` and so on: the function stays as it is; beside it come the C entry and
//! the marker from which the pass makes the program.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, LitStr, Result, ReturnType, Token};

use crate::statics::check_name;

/// One kind of hook.
pub struct Hook {
    attr: &'static str,
    /// As the types of `iu::__private` begin.
    camel: &'static str,
    context: &'static str,
    /// `None` of a hook that only watches: its programs return nothing.
    action: Option<Action>,
    /// The context's parameter is the type of the arguments.
    args: bool,
}

struct Action {
    name: &'static str,
    default: &'static str,
    /// Names of `on_fault` and what they are of the action.
    verdicts: &'static [(&'static str, &'static str)],
}

const fn watches(
    attr: &'static str,
    camel: &'static str,
    context: &'static str,
    args: bool,
) -> Hook {
    Hook { attr, camel, context, action: None, args }
}

const fn decides(
    attr: &'static str,
    camel: &'static str,
    context: &'static str,
    action: Action,
) -> Hook {
    Hook { attr, camel, context, action: Some(action), args: false }
}

const GATE: Action = Action {
    name: "CgroupAction",
    default: "Allow",
    verdicts: &[("allow", "Allow"), ("deny", "Deny")],
};

pub const XDP: Hook = decides(
    "xdp",
    "Xdp",
    "XdpContext",
    Action {
        name: "XdpAction",
        default: "Pass",
        verdicts: &[("aborted", "Aborted"), ("drop", "Drop"), ("pass", "Pass"), ("tx", "Tx")],
    },
);

pub const TC: Hook = decides(
    "tc",
    "Tc",
    "TcContext",
    Action {
        name: "TcAction",
        default: "Unspec",
        verdicts: &[
            ("unspec", "Unspec"),
            ("pass", "Unspec"),
            ("ok", "Ok"),
            ("shot", "Shot"),
            ("drop", "Shot"),
            ("pipe", "Pipe"),
        ],
    },
);

pub const KPROBE: Hook = watches("kprobe", "Kprobe", "KprobeContext", false);
pub const KRETPROBE: Hook = watches("kretprobe", "Kretprobe", "KretprobeContext", false);
pub const UPROBE: Hook = watches("uprobe", "Uprobe", "UprobeContext", false);
pub const TRACEPOINT: Hook = watches("tracepoint", "Tracepoint", "TracepointContext", false);
pub const PERF_EVENT: Hook = watches("perf_event", "PerfEvent", "PerfEventContext", false);
pub const FENTRY: Hook = watches("fentry", "Fentry", "FentryContext", true);
pub const FEXIT: Hook = watches("fexit", "Fexit", "FexitContext", true);
pub const TP_BTF: Hook = watches("tp_btf", "TpBtf", "TpBtfContext", true);

pub const LSM: Hook = Hook {
    args: true,
    ..decides(
        "lsm",
        "Lsm",
        "LsmContext",
        Action {
            name: "LsmAction",
            default: "Allow",
            verdicts: &[("allow", "Allow"), ("deny", "DENY")],
        },
    )
};

pub const CGROUP_SKB: Hook = decides("cgroup_skb", "CgroupSkb", "CgroupSkbContext", GATE);
pub const CGROUP_SOCK_ADDR: Hook =
    decides("cgroup_sock_addr", "CgroupSockAddr", "SockAddrContext", GATE);

pub const SOCKET_FILTER: Hook = decides(
    "socket_filter",
    "SocketFilter",
    "SocketFilterContext",
    Action {
        name: "SocketFilterAction",
        default: "Keep",
        verdicts: &[("keep", "Keep"), ("drop", "Drop")],
    },
);

struct Args {
    on_fault: Option<Ident>,
    name: Option<LitStr>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Args> {
        let mut args = Args { on_fault: None, name: None };
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            if key == "on_fault" {
                args.on_fault = Some(input.call(Ident::parse_any)?);
            } else if key == "name" {
                args.name = Some(input.parse()?);
            } else {
                return Err(Error::new(key.span(), "expected `on_fault` or `name`"));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

pub fn expand(hook: &Hook, args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::parse.parse2(args)?;
    let f: ItemFn = syn::parse2(item)?;
    let (arg, ret) = signature(hook, &f)?;

    let verdict = match (&hook.action, &args.on_fault) {
        (None, None) => None,
        (None, Some(v)) => {
            return Err(Error::new(v.span(), "programs of this hook have no verdict"));
        }
        (Some(a), None) => Some((a, a.default)),
        (Some(a), Some(v)) => match a.verdicts.iter().find(|(n, _)| v == n) {
            Some((_, variant)) => Some((a, *variant)),
            None => {
                let names: Vec<_> = a.verdicts.iter().map(|(n, _)| *n).collect();
                let msg = format!("expected one of {}", names.join(", "));
                return Err(Error::new(v.span(), msg));
            }
        },
    };
    let name = match &args.name {
        Some(s) => check_name(&s.value(), s.span())?,
        None => check_name(&f.sig.ident.unraw().to_string(), f.sig.ident.span())?,
    };

    let ident = &f.sig.ident;
    let private = quote!(::iu::__private);
    let verdict = verdict.map(|(a, v)| {
        let (a, v) = (format_ident!("{}", a.name), format_ident!("{v}"));
        quote!(::iu::#a::#v,)
    });
    let entry = format_ident!("{}Entry", hook.camel);
    let entry_fn = format_ident!("{}Fn", hook.camel);
    let run = format_ident!("run_{}", hook.attr);
    let marker = format_ident!("{}_marker", hook.attr);
    let kinds = hook.args.then(|| {
        let args = format_ident!("{}_args", hook.attr);
        quote!(, #private::#args(#ident))
    });

    // A wrong argument or return type is an error about these two tokens, so they
    // stand where the user wrote the types.
    let ctx = Ident::new("ctx", arg);
    let out = Ident::new("verdict", ret);
    let call = quote_spanned!(Span::mixed_site()=> {
        let #out = #ident(#ctx);
        #out
    });

    Ok(quote! {
        #f

        #[allow(dead_code)]
        const _: () = {
            extern "C" fn entry(entry: #private::#entry) -> u32 {
                #private::#run(entry, |#ctx| #call)
            }

            #[cfg_attr(target_os = "none", used, unsafe(link_section = ".iu.marker"))]
            static MARKER: #private::Marker<#private::#entry_fn> =
                #private::#marker(#name, #verdict entry #kinds);
        };
    })
}

/// Refuses what cannot be a program; gives the places of the two types.
fn signature(hook: &Hook, f: &ItemFn) -> Result<(Span, Span)> {
    let returns = hook.action.as_ref().map_or(String::new(), |a| format!(" -> {}", a.name));
    let want = format!("a program is `fn {}(ctx: {}){returns}`", f.sig.ident, hook.context);
    let odd: Option<&dyn ToTokens> = if let Some(t) = &f.sig.constness {
        Some(t)
    } else if let Some(t) = &f.sig.asyncness {
        Some(t)
    } else if let Some(t) = &f.sig.unsafety {
        Some(t)
    } else if let Some(t) = &f.sig.abi {
        Some(t)
    } else if let Some(t) = f.sig.generics.type_params().next() {
        Some(t)
    } else if let Some(t) = f.sig.generics.const_params().next() {
        Some(t)
    } else {
        None
    };
    if let Some(t) = odd {
        return Err(Error::new_spanned(t, want));
    }
    let mut inputs = f.sig.inputs.iter();
    let (Some(FnArg::Typed(arg)), None) = (inputs.next(), inputs.next()) else {
        return Err(Error::new(f.sig.paren_token.span.join(), want));
    };
    match (&f.sig.output, &hook.action) {
        (ReturnType::Type(_, ret), _) => Ok((arg.ty.span(), ret.span())),
        (ReturnType::Default, None) => Ok((arg.ty.span(), f.sig.paren_token.span.join())),
        (ReturnType::Default, Some(_)) => Err(Error::new_spanned(&f.sig, want)),
    }
}
