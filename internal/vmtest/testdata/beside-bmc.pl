# SPDX-License-Identifier: Apache-2.0
# Appended for a run beside bmc: everything over TCP and UDP on one port, and what is read over TCP is read
# over UDP, too, twice.
package MemcachedTest;
no warnings 'redefine';
my ($real_port, $real_get) = (\&free_port, \&mem_get_is);
my $paired = 0;
*supports_unix_socket = sub { 0 };
*free_port = sub {
    my $type = shift || "tcp";
    # The UDP port is asked for after the TCP port that it goes with.
    if ($type eq "udp") {
        my $port = $paired;
        $paired = 0;
        return $port || $real_port->($type);
    }
    my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 11211, Proto => $type, ReuseAddr => 1);
    $paired = $sock ? 11211 : 0;
    return $paired || $real_port->($type);
};
# Tests that count requests would find too many.
my ($udp, $id, $deaf) = (undef, 0, $0 =~ /stats|issue_104/);
sub over_udp {
    my ($key) = @_;
    $udp ||= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 11211, Proto => 'udp');
    $id = ($id + 1) % 65536;
    $udp->send(pack("nnnn", $id, 0, 1, 0) . "get $key\r\n");
    my ($all, $n) = ("", 0);
    while (1) {
        my $in = '';
        vec($in, fileno($udp), 1) = 1;
        return undef unless select($in, undef, undef, 5);
        my $part = '';
        return undef unless defined $udp->recv($part, 65536);
        my ($got, $seq, $of) = unpack("nnn", $part);
        next if $got != $id;
        $all .= substr($part, 8);
        return $all if ++$n == $of;
    }
}
*mem_get_is = sub {
    my ($sock_opts, $key, $val, $msg) = @_;
    my $opts = ref $sock_opts eq "HASH" ? $sock_opts : {};
    my $sock = ref $sock_opts eq "HASH" ? $opts->{sock} : $sock_opts;
    $real_get->($sock_opts, $key, $val, $msg);
    return if $deaf || !$sock->can('peerport') || $sock->peerport != 11211 || length($key) > 250 || $key =~ / /;
    my $flags = $opts->{flags} || 0;
    my $want = defined $val ? "VALUE $key $flags " . length($val) . "\r\n$val\r\nEND\r\n" : "END\r\n";
    for (1 .. 2) {
        my $got = over_udp($key);
        if (!defined $got) { $deaf = 1; return; }
        die "over UDP, $key is '$got', not '$want'" if $got ne $want;
    }
};
1;
