// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! `#[xdp]`, `#[tc]`: the function stays as it is; beside it come the C entry and
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
    context: &'static str,
    action: &'static str,
    default: &'static str,
    /// Names of `on_fault` and the action's variant.
    verdicts: &'static [(&'static str, &'static str)],
}

pub const XDP: Hook = Hook {
    attr: "xdp",
    context: "XdpContext",
    action: "XdpAction",
    default: "Pass",
    verdicts: &[("aborted", "Aborted"), ("drop", "Drop"), ("pass", "Pass"), ("tx", "Tx")],
};

pub const TC: Hook = Hook {
    attr: "tc",
    context: "TcContext",
    action: "TcAction",
    default: "Unspec",
    verdicts: &[
        ("unspec", "Unspec"),
        ("pass", "Unspec"),
        ("ok", "Ok"),
        ("shot", "Shot"),
        ("drop", "Shot"),
    ],
};

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

    let verdict = match &args.on_fault {
        None => hook.default,
        Some(v) => match hook.verdicts.iter().find(|(n, _)| v == n) {
            Some((_, variant)) => variant,
            None => {
                let names: Vec<_> = hook.verdicts.iter().map(|(n, _)| *n).collect();
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
    let action = format_ident!("{}", hook.action);
    let verdict = format_ident!("{verdict}");
    let private = quote!(::iu::__private);
    let entry = format_ident!("{}Entry", capital(hook.attr));
    let entry_fn = format_ident!("{}Fn", capital(hook.attr));
    let run = format_ident!("run_{}", hook.attr);
    let marker = format_ident!("{}_marker", hook.attr);

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
                #private::#marker(#name, ::iu::#action::#verdict, entry);
        };
    })
}

/// Refuses what cannot be a program; gives the places of the two types.
fn signature(hook: &Hook, f: &ItemFn) -> Result<(Span, Span)> {
    let want =
        format!("a program is `fn {}(ctx: {}) -> {}`", f.sig.ident, hook.context, hook.action);
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
    let ReturnType::Type(_, ret) = &f.sig.output else {
        return Err(Error::new_spanned(&f.sig, want));
    };
    Ok((arg.ty.span(), ret.span()))
}

fn capital(s: &str) -> String {
    s[..1].to_uppercase() + &s[1..]
}
