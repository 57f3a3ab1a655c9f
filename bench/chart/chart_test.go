// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"
)

func example() *Bars {
	return &Bars{
		Title: "A <title> & more", Unit: "instructions", Groups: []string{"32 bytes", "1024 bytes"},
		Series: []Series{{"one", []float64{100, 50}}, {"other", []float64{math.NaN(), 25}}},
	}
}

func TestSVG(t *testing.T) {
	text := example().SVG()
	// Of the second group, the first bar is half as high as the highest, the second a quarter.
	heights := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "height" {
					heights[a.Value]++
				}
			}
		}
	}
	for _, h := range []string{"262.0", "131.0", "65.5"} {
		if heights[h] != 1 {
			t.Errorf("%d bars are %s high, want 1: %v", heights[h], h, heights)
		}
	}
	for _, want := range []string{"A &lt;title&gt; &amp; more", ">100<", ">50<", ">25<", ">other<", ">1024 bytes<"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "NaN") {
		t.Error("a value that is none has been drawn")
	}
}

func TestPNG(t *testing.T) {
	b, err := example().PNG()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got.X != width || got.Y != height {
		t.Errorf("%v", got)
	}
	// Within the highest bar, and above the place of the one that is missing.
	if got := img.At(130, 200); got != colours[0] {
		t.Errorf("the bar is %v", got)
	}
	if r, g, bl, _ := img.At(260, 340).RGBA(); r != 0xffff || g != 0xffff || bl != 0xffff {
		t.Error("a bar where there is no value")
	}
	again, err := example().PNG()
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("another picture of the same numbers: %v", err)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.1234: "0.123", 42.61: "42.6", 508: "508", 1234.4: "1234", 12345: "12.3 k", 6408894: "6.41 M"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
