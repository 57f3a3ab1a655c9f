// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"testing"
	"time"
)

func TestParseRecord(t *testing.T) {
	boot := time.Unix(1000, 0)
	for _, c := range []struct {
		record string
		want   logLine
		ok     bool
	}{
		{"6,339,5140900,-;iu: xdp-count/count: drop 4 bytes from 10.0.2.2: really\n", logLine{Level: "info", Name: "xdp-count", Program: "count", Text: "drop 4 bytes from 10.0.2.2: really"}, true},
		{"6,340,5140900,-;iu: bmc 1.2.1: loaded as 3 from iux_bmc_01234567\n SUBSYSTEM=x\n", logLine{Level: "info", Name: "bmc", Text: "1.2.1: loaded as 3 from iux_bmc_01234567"}, true},
		{"28,341,5140900,c,caller=T1;iu: out of memory\n", logLine{Level: "warning", Text: "out of memory"}, true},
		{"4,342,5140900,-;iu: cannot find: it\n", logLine{Level: "warning", Text: "cannot find: it"}, true},
		{"6,343,5140900,-;iux_bmc: module verification failed\n", logLine{}, false},
		{"6,344,5140900,-;eth0: up\n", logLine{}, false},
		{"x,345,5140900,-;iu: a\n", logLine{}, false},
		{"6,345;iu: a\n", logLine{}, false},
		{"", logLine{}, false},
	} {
		got, ok := parseRecord([]byte(c.record), boot)
		if ok != c.ok {
			t.Errorf("%q: %v", c.record, ok)
			continue
		}
		c.want.Time = boot.Add(5140900 * time.Microsecond)
		if ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", c.record, got, c.want)
		}
	}
}
