// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! `error!` and its kin: the format string is taken apart here, so that no
//! formatting machinery is needed at run time.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Expr, LitStr, Result, Token};

struct Args {
    format: LitStr,
    positional: Vec<Expr>,
    named: Vec<(Ident, Expr)>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Args> {
        let mut args = Args { format: input.parse()?, positional: Vec::new(), named: Vec::new() };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            if input.peek(syn::Ident::peek_any)
                && input.peek2(Token![=])
                && !input.peek2(Token![==])
            {
                let name = input.parse()?;
                input.parse::<Token![=]>()?;
                args.named.push((name, input.parse()?));
            } else {
                args.positional.push(input.parse()?);
            }
        }
        Ok(args)
    }
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Value { name: String, hex: bool },
}

pub fn expand(level: &str, args: TokenStream) -> Result<TokenStream> {
    let args = Args::parse.parse2(args)?;
    let at = args.format.span();
    let pieces = pieces(&args.format.value()).map_err(|e| Error::new(at, e))?;
    let mut positional = args.positional.iter();
    let mut used = vec![false; args.named.len()];
    let line = Ident::new("line", Span::mixed_site());
    let mut body = TokenStream::new();
    for p in pieces {
        let (name, hex) = match p {
            Piece::Text(t) => {
                body.extend(quote_spanned!(Span::mixed_site()=> #line.str(#t);));
                continue;
            }
            Piece::Value { name, hex } => (name, hex),
        };
        let value = if name.is_empty() {
            let Some(e) = positional.next() else {
                return Err(Error::new(at, "more placeholders than arguments"));
            };
            e.to_token_stream()
        } else if let Some(i) = args.named.iter().position(|(n, _)| *n == name) {
            used[i] = true;
            args.named[i].1.to_token_stream()
        } else {
            Ident::new(&name, at).to_token_stream()
        };
        let show = Ident::new(if hex { "show_hex" } else { "show" }, Span::mixed_site());
        // Spanned at the value, so that "cannot be logged" points at it.
        let call = quote_spanned!(syn::spanned::Spanned::span(&value)=> ::iu::log::Show::#show(&#value, &mut #line););
        body.extend(call);
    }
    if let Some(e) = positional.next() {
        return Err(Error::new_spanned(e, "an argument without a placeholder"));
    }
    if let Some(i) = used.iter().position(|u| !u) {
        return Err(Error::new(args.named[i].0.span(), "an argument without a placeholder"));
    }
    let level = Ident::new(level, Span::mixed_site());
    Ok(quote_spanned! {Span::mixed_site()=> {
        let mut #line = ::iu::log::Line::new();
        #body
        #line.emit(::iu::log::Level::#level);
    }})
}

fn pieces(format: &str) -> std::result::Result<Vec<Piece>, String> {
    let mut out = Vec::new();
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => {
                chars.next();
                text.push(c);
            }
            '}' => return Err("unmatched `}`; write `}}` for a brace".into()),
            '{' => {
                let mut inner = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some(c) => inner.push(c),
                        None => return Err("unmatched `{`; write `{{` for a brace".into()),
                    }
                }
                let (name, spec) = inner.split_once(':').unwrap_or((&inner, ""));
                if !(name.is_empty() || syn::parse_str::<Ident>(name).is_ok()) {
                    return Err(format!("`{{{inner}}}`: a placeholder is {{}} or {{name}}"));
                }
                if !matches!(spec, "" | "x") {
                    return Err(format!("`{{{inner}}}`: the only format is `:x`"));
                }
                if !text.is_empty() {
                    out.push(Piece::Text(std::mem::take(&mut text)));
                }
                out.push(Piece::Value { name: name.to_owned(), hex: spec == "x" });
            }
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        out.push(Piece::Text(text));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let value = |name: &str, hex| Piece::Value { name: name.into(), hex };
        let text = |s: &str| Piece::Text(s.into());
        assert_eq!(
            pieces("a{{{}b{n:x}}}").unwrap(),
            [text("a{"), value("", false), text("b"), value("n", true), text("}")]
        );
        assert_eq!(pieces("").unwrap(), []);
        for bad in ["{", "}", "{0.5}", "{:08}", "{a b}", "{:?}"] {
            assert!(pieces(bad).is_err(), "{bad}");
        }
    }
}
