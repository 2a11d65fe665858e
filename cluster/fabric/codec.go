package fabric

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
)

const (
	// zipFrom is the size from which a message is compressed: templates and launches repeat themselves.
	zipFrom = 32 << 10
	// plainMax bounds a message after decompression, so that a small one cannot fill the memory.
	plainMax = 16 << 20

	headerEncoding = "Content-Encoding"
	encodingZstd   = "zstd"
)

// codec turns protobuf messages into NATS messages and back. It is safe for concurrent use.
type codec struct {
	zip   *zstd.Encoder
	unzip *zstd.Decoder
}

func newCodec() (*codec, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(plainMax), zstd.WithDecoderMaxWindow(plainMax))
	return &codec{zip: zip, unzip: unzip}, err
}

func (c *codec) encode(subject string, m proto.Message) (*nats.Msg, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	out := &nats.Msg{Subject: subject, Data: body}
	if len(body) >= zipFrom {
		out.Data = c.zip.EncodeAll(body, make([]byte, 0, len(body)/4))
		out.Header = nats.Header{headerEncoding: {encodingZstd}}
	}
	return out, nil
}

func (c *codec) decode(in *nats.Msg, m proto.Message) error {
	body := in.Data
	switch encoding := in.Header.Get(headerEncoding); encoding {
	case "":
	case encodingZstd:
		var err error
		if body, err = c.unzip.DecodeAll(body, nil); err != nil {
			return err
		}
	default:
		return fmt.Errorf("encoding %.20q is unknown", encoding)
	}
	return proto.Unmarshal(body, m)
}
