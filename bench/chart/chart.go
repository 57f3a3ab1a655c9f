// SPDX-License-Identifier: Apache-2.0

// Package chart draws groups of bars, once as SVG and once as PNG: the same picture, from the same
// numbers, on every machine.
package chart

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Bars is a chart: for each group, a bar for each series.
type Bars struct {
	Title  string
	Unit   string // of the values
	Groups []string
	Series []Series
}

// Series is what is compared in every group. A value that is not a number has no bar.
type Series struct {
	Name   string
	Values []float64
}

// The picture, in pixels.
const (
	width, height          = 720, 400
	left, right, top, base = 20, 20, 74, 352
	small, large           = 12, 16
)

// colours tell series apart in grey, too.
var colours = []color.RGBA{{0x9a, 0xa5, 0xb1, 255}, {0x3b, 0x7d, 0xd8, 255}, {0x0b, 0x3d, 0x75, 255}, {0xd9, 0x8e, 0x04, 255}}

// canvas is what a chart is drawn on. Anchor of a text: -1 its start, 0 its middle, 1 its end.
type canvas interface {
	rect(x, y, w, h float64, c color.RGBA)
	text(x, y float64, size, anchor int, s string)
}

func (b *Bars) draw(c canvas) {
	c.rect(0, 0, width, height, color.RGBA{255, 255, 255, 255})
	c.text(left, 26, large, -1, b.Title)
	c.text(width-right, 26, small, 1, b.Unit)
	x := float64(left)
	for i, s := range b.Series {
		c.rect(x, 42, 12, 12, colours[i%len(colours)])
		c.text(x+18, 53, small, -1, s.Name)
		x += 40 + 7*float64(len(s.Name))
	}
	most := 0.0
	for _, s := range b.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				most = math.Max(most, v)
			}
		}
	}
	group := float64(width-left-right) / float64(max(len(b.Groups), 1))
	bar := group * 0.8 / float64(max(len(b.Series), 1))
	for g, name := range b.Groups {
		at := left + group*(float64(g)+0.1)
		for i, s := range b.Series {
			v := s.Values[g]
			if math.IsNaN(v) || most == 0 {
				continue
			}
			h := v / most * (base - top - 16)
			x := at + bar*float64(i)
			c.rect(x+2, base-h, bar-4, h, colours[i%len(colours)])
			c.text(x+bar/2, base-h-4, small, 0, number(v))
		}
		c.text(at+group*0.4, base+20, small, 0, name)
	}
	c.rect(left, base, width-left-right, 1, color.RGBA{0x40, 0x40, 0x40, 255})
}

// number is short: three digits that count.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

type svg struct{ bytes.Buffer }

func (s *svg) rect(x, y, w, h float64, c color.RGBA) {
	fmt.Fprintf(s, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#%02x%02x%02x\"/>\n", x, y, w, h, c.R, c.G, c.B)
}

func (s *svg) text(x, y float64, size, anchor int, text string) {
	name := [...]string{"start", "middle", "end"}[anchor+1]
	fmt.Fprintf(s, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, size, name, html.EscapeString(text))
}

// SVG is the chart as a document.
func (b *Bars) SVG() []byte {
	s := new(svg)
	fmt.Fprintf(s, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%[1]d\" height=\"%[2]d\" font-family=\"sans-serif\">\n", width, height)
	b.draw(s)
	s.WriteString("</svg>\n")
	return s.Bytes()
}

type raster struct {
	img   *image.RGBA
	faces map[int]font.Face
}

func (r *raster) rect(x, y, w, h float64, c color.RGBA) {
	at := image.Rect(int(x+0.5), int(y+0.5), int(x+w+0.5), int(y+h+0.5))
	draw.Draw(r.img, at, image.NewUniform(c), image.Point{}, draw.Src)
}

func (r *raster) text(x, y float64, size, anchor int, s string) {
	d := font.Drawer{Dst: r.img, Src: image.Black, Face: r.faces[size]}
	x -= float64(d.MeasureString(s)) / 64 * float64(anchor+1) / 2
	d.Dot = fixed.P(int(x+0.5), int(y+0.5))
	d.DrawString(s)
}

// PNG is the chart as a picture.
func (b *Bars) PNG() ([]byte, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	r := &raster{image.NewRGBA(image.Rect(0, 0, width, height)), map[int]font.Face{}}
	for _, size := range []int{small, large} {
		if r.faces[size], err = opentype.NewFace(f, &opentype.FaceOptions{Size: float64(size), DPI: 72}); err != nil {
			return nil, err
		}
	}
	b.draw(r)
	var out bytes.Buffer
	err = png.Encode(&out, r.img)
	return out.Bytes(), err
}
