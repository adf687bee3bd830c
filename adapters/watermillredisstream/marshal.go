package watermillredisstream

import (
	"encoding/json"
	"errors"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/watermillkit"
)

// tolerant makes an entry of another layout a message that says so, with its fields as a JSON object.
type tolerant struct{ redisstream.Unmarshaller }

// Unmarshal implements redisstream.Unmarshaller.
func (t tolerant) Unmarshal(values map[string]interface{}) (*message.Message, error) {
	msg, err := t.Unmarshaller.Unmarshal(values)
	if err == nil {
		return msg, nil
	}
	raw, jsonErr := json.Marshal(values)
	return watermillkit.Undecodable(raw, errors.Join(err, jsonErr)), nil
}
