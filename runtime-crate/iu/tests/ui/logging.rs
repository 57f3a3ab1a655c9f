// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
fn f() {
    struct Opaque;
    iu::info!("{}", Opaque); //~ cannot be logged
    iu::info!("{} {}", 1); //~ more placeholders than arguments
    iu::info!("{}", 1, 2); //~ an argument without a placeholder
    iu::info!("{:08}", 1); //~ the only format is `:x`
    iu::info!("{"); //~ unmatched
    iu::info!("{missing}"); //~ cannot find value `missing`
}
