// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! `#[map]`, `#[param]`: the static is the descriptor itself, in its section.
//! `#[plain]`: derives.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ItemStruct, LitStr, Result, Token, Type, Visibility};

/// `static NAME: Type [= expr];`
struct Static {
    attrs: Vec<Attribute>,
    vis: Visibility,
    ident: Ident,
    ty: Type,
    expr: Option<Expr>,
}

impl Parse for Static {
    fn parse(input: ParseStream<'_>) -> Result<Static> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        input.parse::<Token![static]>()?;
        if let Some(m) = input.parse::<Option<Token![mut]>>()? {
            return Err(Error::new(m.span, "the static is not `mut`: its methods take `&self`"));
        }
        let ident = input.parse()?;
        input.parse::<Token![:]>()?;
        let ty = input.parse()?;
        let expr = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        input.parse::<Token![;]>()?;
        Ok(Static { attrs, vis, ident, ty, expr })
    }
}

/// `key = expr, …`
struct Args(Vec<(Ident, Expr)>);

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Args> {
        let mut args: Vec<(Ident, Expr)> = Vec::new();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            if args.iter().any(|(k, _)| *k == key) {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            input.parse::<Token![=]>()?;
            args.push((key, input.parse()?));
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Args(args))
    }
}

impl Args {
    fn take(&mut self, key: &str) -> Option<Expr> {
        let i = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(i).1)
    }

    /// `name = "…"`, or the static's own name in lower case.
    fn name(&mut self, ident: &Ident) -> Result<String> {
        match self.take("name") {
            Some(e) => {
                let s: LitStr = syn::parse2(quote!(#e))?;
                check_name(&s.value(), s.span())
            }
            None => check_name(&ident.unraw().to_string().to_lowercase(), ident.span()),
        }
    }

    fn none_left(&self, known: &str) -> Result<()> {
        match self.0.first() {
            Some((k, _)) => Err(Error::new(k.span(), format!("expected {known}"))),
            None => Ok(()),
        }
    }
}

/// Names are also file names of pins, arguments of `--set` and symbols.
pub fn check_name(name: &str, at: Span) -> Result<String> {
    let ok = (1..=31).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if ok {
        return Ok(name.to_owned());
    }
    Err(Error::new(
        at,
        format!("`{name}` is not a name: a letter, then a-z, 0-9, _, at most 31 in all"),
    ))
}

pub fn map(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut args = Args::parse.parse2(args)?;
    let s: Static = syn::parse2(item)?;
    let name = args.name(&s.ident)?;
    args.none_left("`name`")?;
    let Static { attrs, vis, ident, ty, expr } = &s;
    let Some(expr) = expr else {
        return Err(Error::new(ident.span(), "a map has an initial value: `= Array::new()`"));
    };
    let check = sealed(ty, "IsMap");
    Ok(quote! {
        #(#attrs)*
        #[cfg_attr(target_os = "none", used, unsafe(link_section = ".iu.map"))]
        #vis static #ident: #ty = <#ty>::__named(#expr, #name);
        #check
    })
}

pub fn param(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut args = Args::parse.parse2(args)?;
    let s: Static = syn::parse2(item)?;
    let name = args.name(&s.ident)?;
    let Static { attrs, vis, ident, ty, expr } = &s;
    if let Some(e) = expr {
        return Err(Error::new_spanned(e, "the value is given by `default = …`"));
    }
    let Some(default) = args.take("default") else {
        return Err(Error::new(ident.span(), "a parameter has a `default = …`"));
    };
    let value = quote!(<<#ty as ::iu::__private::IsParam>::Value as ::iu::__private::ParamValue>);
    let min = args.take("min").map_or(quote!(#value::MIN), |e| quote!(#e));
    let max = args.take("max").map_or(quote!(#value::MAX), |e| quote!(#e));
    args.none_left("`default`, `min`, `max` or `name`")?;
    let check = sealed(ty, "IsParam");
    // If the default is out of range, this is the place that the error is about.
    let new = Ident::new("__new", default.span());
    Ok(quote! {
        #(#attrs)*
        #[cfg_attr(target_os = "none", used, unsafe(link_section = ".iu.param"))]
        #vis static #ident: #ty = <#ty>::#new(#name, #default, #min, #max);
        #check
    })
}

/// Only the crate's own types may stand in the runtime's sections.
fn sealed(ty: &Type, of: &str) -> TokenStream {
    let of = Ident::new(of, Span::mixed_site());
    let ty = quote_spanned!(ty.span()=> #ty);
    quote! {
        const _: () = {
            const fn check<T: ::iu::__private::#of>() {}
            check::<#ty>()
        };
    }
}

pub fn plain(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(args, "`plain` has no arguments"));
    }
    let s: ItemStruct = syn::parse2(item)?;
    let repr = if s.attrs.iter().any(|a| a.path().is_ident("repr")) {
        quote!()
    } else {
        quote!(#[repr(C)])
    };
    Ok(quote! {
        #[derive(
            Clone,
            Copy,
            ::iu::zerocopy::FromBytes,
            ::iu::zerocopy::IntoBytes,
            ::iu::zerocopy::Immutable,
            ::iu::zerocopy::KnownLayout,
        )]
        #[zerocopy(crate = "::iu::zerocopy")]
        #repr
        #s
    })
}
