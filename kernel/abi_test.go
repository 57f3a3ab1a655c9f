// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// cNames gives the C name of Go fields whose name does not follow the rule
// (words split at capitals, lower case).
var cNames = map[string]string{
	"NSections": "nsections", "ABI": "abi", "UAPI": "uapi", "ID": "id", "FD": "fd",
	"BudgetNS": "budget_ns", "WindowNS": "window_ns", "NS": "ns", "LastNS": "last_ns", "LastCPU": "last_cpu",
}

func cName(field string) string {
	if n, ok := cNames[field]; ok {
		return n
	}
	var b strings.Builder
	for i, r := range field {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// TestMirror compiles the two headers and compares every size, offset and
// number with the Go mirror, in one run of the compiler.
func TestMirror(t *testing.T) {
	cc := ""
	for _, c := range []string{"cc", "gcc", "clang-22", "clang"} {
		if p, err := exec.LookPath(c); err == nil {
			cc = p
			break
		}
	}
	if cc == "" {
		t.Skip("no C compiler")
	}

	structs := []struct {
		c string
		g any
	}{
		{"iu_abi_info", abiInfo{}}, {"iu_abi_prog", abiProg{}}, {"iu_abi_map", abiMap{}}, {"iu_abi_param", abiParam{}}, {"iu_abi_kreloc", abiKreloc{}}, {"iu_set_kreloc", uapiSetKreloc{}},
		{"iu_version", uapiVersion{}}, {"iu_key", uapiKey{}}, {"iu_section", uapiSection{}}, {"iu_load", uapiLoad{}},
		{"iu_bind", uapiBind{}}, {"iu_set_param", uapiSetParam{}}, {"iu_slot_new", uapiSlotNew{}},
		{"iu_attach_one", uapiAttachOne{}}, {"iu_attach", uapiAttach{}}, {"iu_id", uapiID{}},
		{"iu_ext_info", uapiExtInfo{}}, {"iu_prog_info", uapiProgInfo{}}, {"iu_harvest", uapiHarvest{}},
	}
	numbers := []struct {
		c string
		g uint64
	}{
		{"IU_ABI_VERSION", ABIVersion}, {"IU_ABI_MAGIC", abiMagic}, {"IU_ABI_NAME_LEN", abiNameLen},
		{"IU_ABI_PKG_LEN", abiPkgLen}, {"IU_ABI_VER_LEN", abiVerLen}, {"IU_ABI_MAX_OBJECT", maxObject},
		{"IU_ABI_MAX_SECTIONS", maxSections}, {"IU_ABI_MAX_SYMBOLS", maxSymbols}, {"IU_ABI_MAX_RELOCS", maxRelocs},
		{"IU_ABI_MAX_PROGS", maxProgs}, {"IU_ABI_MAX_MAPS", maxMaps}, {"IU_ABI_MAX_PARAMS", maxParams},
		{"IU_PROG_F_POLL", uint64(ProgPoll)}, {"IU_PROG_F_STACK_CHECK", uint64(ProgStackCheck)},
		{"IU_ABI_MAX_KRELOCS", maxKRelocs}, {"IU_ABI_CNAME_LEN", abiCNameLen}, {"IU_KRELOC_MAX_BYTES", maxKRelocBytes},
		{"IU_KRELOC_FIELD", uint64(KRelocField)}, {"IU_KRELOC_SIZE", uint64(KRelocSize)}, {"IU_KRELOC_ENUM", uint64(KRelocEnum)},
		{"IU_KRELOC_CONFIG", uint64(KRelocConfig)}, {"IU_KRELOC_TRACE", uint64(KRelocTrace)},
		{"IU_KRELOC_F_OPTIONAL", uint64(KRelocOptional)}, {"IU_KRELOC_F_INT", uint64(KRelocInt)},
		{"IU_KRELOC_F_PTR", uint64(KRelocPtr)}, {"IU_KRELOC_F_INSIDE", uint64(KRelocInside)}, {"IU_IOC_SET_KRELOC", uint64(iocSetKreloc)},
		{"IU_PARAM_BOOL", uint64(ParamBool)}, {"IU_PARAM_U64", uint64(ParamU64)}, {"IU_PARAM_I64", uint64(ParamI64)},
		{"IU_HOOK_XDP", uint64(HookXDP)}, {"IU_HOOK_TC", uint64(HookTC)}, {"IU_HOOK_KPROBE", uint64(HookKprobe)},
		{"IU_HOOK_TRACEPOINT", uint64(HookTracepoint)}, {"IU_HOOK_PERF_EVENT", uint64(HookPerfEvent)},
		{"IU_HOOK_FENTRY", uint64(HookFentry)}, {"IU_HOOK_FEXIT", uint64(HookFexit)}, {"IU_HOOK_TP_BTF", uint64(HookTPBTF)},
		{"IU_HOOK_LSM", uint64(HookLSM)}, {"IU_HOOK_CGROUP_SKB", uint64(HookCgroupSKB)},
		{"IU_HOOK_CGROUP_SOCK_ADDR", uint64(HookCgroupSockAddr)}, {"IU_HOOK_SOCKET_FILTER", uint64(HookSocketFilter)},
		{"IU_HOOK_KRETPROBE", uint64(HookKretprobe)}, {"IU_HOOK_UPROBE", uint64(HookUprobe)}, {"IU_HOOK_MAX", uint64(hookMax)},
		{"IU_ARG_PTR", uint64(ArgPtr)}, {"IU_ARG_ANY", uint64(ArgAny)}, {"IU_ARG_MAX", uint64(argMax)}, {"IU_ARGS_MAX", argsMax},
		{"IU_UAPI_VERSION", UAPIVersion}, {"IU_NAME_LEN", uapiNameLen}, {"IU_PKG_LEN", uapiPkgLen},
		{"IU_MODNAME_LEN", uapiModnameLen}, {"IU_MSG_LEN", uapiMsgLen}, {"IU_MAX_SIG", uapiMaxSig}, {"IU_MAX_CERT", uapiMaxCert},
		{"IU_CAUSE_PANIC", uint64(CausePanic)}, {"IU_CAUSE_STACK", uint64(CauseStack)}, {"IU_CAUSE_BUDGET", uint64(CauseBudget)},
		{"IU_CAUSE_LOCK", uint64(CauseLock)}, {"IU_CAUSE_NESTING", uint64(CauseNesting)}, {"IU_CAUSES", uapiCauses},
		{"IU_IOC_VERSION", uint64(iocVersion)}, {"IU_IOC_KEY_ADD", uint64(iocKeyAdd)}, {"IU_IOC_KEY_SEAL", uint64(iocKeySeal)},
		{"IU_IOC_HARVEST", uint64(iocHarvest)}, {"IU_IOC_LOAD", uint64(iocLoad)}, {"IU_IOC_BIND", uint64(iocBind)}, {"IU_IOC_SET_PARAM", uint64(iocSetParam)},
		{"IU_IOC_UNLOAD", uint64(iocUnload)}, {"IU_IOC_COMMIT", uint64(iocCommit)}, {"IU_IOC_SLOT_NEW", uint64(iocSlotNew)},
		{"IU_IOC_SLOT_FREE", uint64(iocSlotFree)}, {"IU_IOC_ATTACH", uint64(iocAttach)}, {"IU_IOC_DETACH", uint64(iocDetach)},
		{"IU_IOC_EXT_INFO", uint64(iocExtInfo)}, {"IU_IOC_PROG_INFO", uint64(iocProgInfo)},
	}

	var src, want bytes.Buffer
	src.WriteString("#define IU_ABI_NO_TYPES\n#include <stdio.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <linux/types.h>\n" +
		"#include \"iu_abi.h\"\n#include \"iu_uapi.h\"\nint main(void)\n{\n")
	for _, s := range structs {
		typ := reflect.TypeOf(s.g)
		fmt.Fprintf(&src, "\tprintf(\"%s %%zu\\n\", sizeof(struct %s));\n", s.c, s.c)
		fmt.Fprintf(&want, "%s %d\n", s.c, typ.Size())
		for i := range typ.NumField() {
			f := typ.Field(i)
			n := cName(f.Name)
			fmt.Fprintf(&src, "\tprintf(\"%s.%s %%zu+%%zu\\n\", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));\n", s.c, n, s.c, n, s.c, n)
			fmt.Fprintf(&want, "%s.%s %d+%d\n", s.c, n, f.Offset, f.Type.Size())
		}
	}
	for _, n := range numbers {
		fmt.Fprintf(&src, "\tprintf(\"%s %%llu\\n\", (unsigned long long)(%s));\n", n.c, n.c)
		fmt.Fprintf(&want, "%s %d\n", n.c, n.g)
	}
	for name, sec := range map[string]string{"IU_SEC_INFO": secInfo, "IU_SEC_PROG": secProg, "IU_SEC_MAP": secMap, "IU_SEC_PARAM": secParam, "IU_SEC_KRELOC": secKReloc} {
		fmt.Fprintf(&src, "\tprintf(\"%s %%s\\n\", %s);\n", name, name)
		fmt.Fprintf(&want, "%s %s\n", name, sec)
	}
	src.WriteString("\treturn 0;\n}\n")

	dir := t.TempDir()
	file, bin := filepath.Join(dir, "mirror.c"), filepath.Join(dir, "mirror")
	if err := os.WriteFile(file, src.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-Wall", "-Werror", "-I", "module", "-o", bin, file).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	got, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(want.String(), "\n")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			t.Errorf("header says %q, mirror says %q", g[min(i, len(g)-1)], w[i])
		}
	}
}
