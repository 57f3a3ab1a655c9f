// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! `kernel_struct!` and its kin: every member, size, enumerator and option that is asked for
//! is a record in `.iu.reloc`, which the loader fills in. The user's tokens are types and
//! names; they stand in no attribute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, LitStr, Result, Token, Type, Visibility, braced};

mod kw {
    syn::custom_keyword!(tracepoint);
}

/// `struct NAME { … }`, `union NAME { … }` or `tracepoint "system/event" as NAME { … }`.
struct Struct {
    attrs: Vec<Attribute>,
    vis: Visibility,
    ident: Ident,
    c_name: String,
    trace: bool,
    members: Punctuated<Member, Token![,]>,
}

/// `a.b.c as name?: form`
struct Member {
    attrs: Vec<Attribute>,
    path: Vec<Ident>,
    name: Ident,
    optional: bool,
    form: Form,
}

enum Form {
    Int(Type),
    Plain(Type),
    Pointer(Type),
    Inside(Type),
}

impl Parse for Struct {
    fn parse(input: ParseStream<'_>) -> Result<Struct> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let (ident, c_name, trace): (Ident, String, bool);
        if input.peek(kw::tracepoint) {
            input.parse::<kw::tracepoint>()?;
            let name: LitStr = input.parse()?;
            if name.value().split('/').filter(|p| !p.is_empty()).count() != 2 {
                return Err(Error::new(name.span(), "a tracepoint is \"system/event\""));
            }
            input.parse::<Token![as]>()?;
            (ident, c_name, trace) = (input.parse()?, check(name.value(), name.span())?, true);
        } else {
            let kind = if input.peek(Token![union]) {
                input.parse::<Token![union]>()?;
                "union"
            } else {
                input.parse::<Token![struct]>()?;
                "struct"
            };
            ident = input.parse()?;
            (c_name, trace) = (check(format!("{kind} {}", ident.unraw()), ident.span())?, false);
        }
        let body;
        braced!(body in input);
        let members = body.parse_terminated(Member::parse, Token![,])?;
        Ok(Struct { attrs, vis, ident, c_name, trace, members })
    }
}

impl Parse for Member {
    fn parse(input: ParseStream<'_>) -> Result<Member> {
        let attrs = input.call(Attribute::parse_outer)?;
        let mut path = vec![input.call(Ident::parse_any)?];
        while input.parse::<Option<Token![.]>>()?.is_some() {
            path.push(input.call(Ident::parse_any)?);
        }
        let name = match input.parse::<Option<Token![as]>>()? {
            Some(_) => input.parse()?,
            None => path[path.len() - 1].clone(),
        };
        let optional = input.parse::<Option<Token![?]>>()?.is_some();
        input.parse::<Token![:]>()?;
        let form = if input.parse::<Option<Token![*]>>()?.is_some() {
            Form::Pointer(input.parse()?)
        } else if input.parse::<Option<Token![&]>>()?.is_some() {
            Form::Inside(input.parse()?)
        } else {
            let ty: Type = input.parse()?;
            if is_int(&ty) { Form::Int(ty) } else { Form::Plain(ty) }
        };
        Ok(Member { attrs, path, name, optional, form })
    }
}

fn is_int(ty: &Type) -> bool {
    const INTS: [&str; 9] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "bool"];
    matches!(ty, Type::Path(p) if INTS.iter().any(|i| p.path.is_ident(i)))
}

/// The ABI has room for 63 bytes.
fn check(name: String, at: Span) -> Result<String> {
    if name.len() < 64 { Ok(name) } else { Err(Error::new(at, "the name has more than 63 bytes")) }
}

pub fn structs(input: TokenStream) -> Result<TokenStream> {
    let all = (|input: ParseStream<'_>| {
        let mut all = Vec::new();
        while !input.is_empty() {
            all.push(input.parse::<Struct>()?);
        }
        Ok(all)
    })
    .parse2(input)?;
    all.iter().map(one_struct).collect()
}

fn one_struct(s: &Struct) -> Result<TokenStream> {
    let Struct { attrs, vis, ident, c_name, trace, members } = s;
    let accessors = members.iter().map(|m| accessor(s, m)).collect::<Result<Vec<_>>>()?;
    let kernel = quote!(::iu::kernel);
    let _ = trace;
    Ok(quote! {
        #(#attrs)*
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy)]
        #vis struct #ident(#kernel::Ptr);

        impl #kernel::Type for #ident {
            const NAME: &'static str = #c_name;

            #[inline(always)]
            fn at(ptr: #kernel::Ptr) -> Self {
                #ident(ptr)
            }

            #[inline(always)]
            fn ptr(self) -> #kernel::Ptr {
                self.0
            }
        }

        #[allow(dead_code)]
        impl #ident {
            #(#accessors)*
        }
    })
}

fn accessor(s: &Struct, m: &Member) -> Result<TokenStream> {
    let Member { attrs, path, name, optional, form } = m;
    let (vis, c_name, trace) = (&s.vis, &s.c_name, s.trace);
    let field = path.iter().map(|p| p.unraw().to_string()).collect::<Vec<_>>().join(".");
    let field = check(field, path[0].span())?;
    let result = quote!(::core::result::Result);
    let some = quote!(::core::option::Option);
    let (make, ty, read) = match form {
        Form::Int(t) => (quote!(int::<#t>), quote!(#t), quote!(read_int::<#t>(self.0))),
        Form::Plain(t) => (quote!(plain::<#t>), quote!(#t), quote!(read_plain::<#t>(self.0))),
        Form::Pointer(t) => (quote!(pointer), quote!(#t), quote!(read_pointer::<#t>(self.0))),
        Form::Inside(t) => (quote!(inside), quote!(#t), quote!(address::<#t>(self.0))),
    };
    let (out, body) = match (form, optional) {
        (Form::Inside(_), false) => (ty, quote!(RELOC.#read)),
        (Form::Inside(_), true) => (
            quote!(#some<#ty>),
            quote!(if RELOC.exists() { #some::Some(RELOC.#read) } else { #some::None }),
        ),
        (_, false) => (quote!(#result<#ty, ::iu::Errno>), quote!(RELOC.#read)),
        (_, true) => (
            quote!(#result<#some<#ty>, ::iu::Errno>),
            quote!(if RELOC.exists() { RELOC.#read.map(#some::Some) } else { #result::Ok(#some::None) }),
        ),
    };
    let doc = match form {
        Form::Pointer(_) => format!("Follows `{field}` of `{c_name}`."),
        Form::Inside(_) => format!("`{field}` in `{c_name}`."),
        _ => format!("Reads `{field}` of `{c_name}`."),
    };
    let doc = if attrs.is_empty() { quote!(#[doc = #doc]) } else { quote!(#(#attrs)*) };
    let reloc =
        record(quote!(::iu::__private::KernelReloc::#make(#trace, #c_name, #field, #optional)));
    Ok(quote! {
        #doc
        #[inline]
        #vis fn #name(self) -> #out {
            #reloc
            #body
        }
    })
}

/// The static that the loader fills in.
fn record(value: TokenStream) -> TokenStream {
    quote! {
        #[cfg_attr(target_os = "none", used, unsafe(link_section = ".iu.reloc"))]
        static RELOC: ::iu::__private::KernelReloc = #value;
    }
}

/// `NAME` or `NAME: u64`
pub fn config(input: TokenStream) -> Result<TokenStream> {
    let (symbol, number) = (|input: ParseStream<'_>| {
        let symbol = input.call(Ident::parse_any)?;
        let number = input.parse::<Option<Token![:]>>()?.is_some();
        if number {
            let ty: Ident = input.parse()?;
            if ty != "u64" {
                return Err(Error::new(ty.span(), "a number of the configuration is a u64"));
            }
        }
        Ok((symbol, number))
    })
    .parse2(input)?;
    let name = symbol.unraw().to_string();
    if name.starts_with("CONFIG_")
        || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(Error::new(
            symbol.span(),
            "a symbol of the configuration is written without CONFIG_",
        ));
    }
    let name = check(name, symbol.span())?;
    let reloc = record(quote!(::iu::__private::KernelReloc::config(#name)));
    let read = format_ident!("{}", if number { "number" } else { "exists" });
    Ok(quote!({ #reloc RELOC.#read() }))
}

/// `struct name` or `union name`, with `?` if it may be missing.
pub fn size(input: TokenStream) -> Result<TokenStream> {
    let (kind, name, optional) = (|input: ParseStream<'_>| {
        let kind = input.call(Ident::parse_any)?;
        if kind != "struct" && kind != "union" {
            return Err(Error::new(kind.span(), "expected `struct` or `union`"));
        }
        let name = input.call(Ident::parse_any)?;
        Ok((kind, name, input.parse::<Option<Token![?]>>()?.is_some()))
    })
    .parse2(input)?;
    let c_name = check(format!("{kind} {}", name.unraw()), name.span())?;
    Ok(number(
        quote!(::iu::__private::KernelReloc::size(#c_name, #optional)),
        optional,
        quote!(v as usize),
    ))
}

/// `enum name, ENUMERATOR`, with `?` if it may be missing.
pub fn enumerator(input: TokenStream) -> Result<TokenStream> {
    let (ty, name, optional) = (|input: ParseStream<'_>| {
        input.parse::<Token![enum]>()?;
        let ty = input.call(Ident::parse_any)?;
        input.parse::<Token![,]>()?;
        let name = input.call(Ident::parse_any)?;
        Ok((ty, name, input.parse::<Option<Token![?]>>()?.is_some()))
    })
    .parse2(input)?;
    let c_name = check(format!("enum {}", ty.unraw()), ty.span())?;
    let field = check(name.unraw().to_string(), name.span())?;
    let make = quote!(::iu::__private::KernelReloc::enumerator(#c_name, #field, #optional));
    Ok(number(make, optional, quote!(v as i64)))
}

/// A number that is there, or an `Option` of it. What is not optional was found before
/// the program could run.
fn number(make: TokenStream, optional: bool, cast: TokenStream) -> TokenStream {
    let reloc = record(make);
    let v = quote!(RELOC.number().map(|v| #cast));
    if optional { quote!({ #reloc #v }) } else { quote!({ #reloc #v.unwrap_or(0) }) }
}
