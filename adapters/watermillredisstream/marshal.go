package watermillredisstream

import (
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/adapters/internal/watermillkit"
)

// tolerant makes an entry of another layout a message that says so, with its fields as a JSON object; see
// rediskit.FieldsJSON.
type tolerant struct{ redisstream.Unmarshaller }

// Unmarshal implements redisstream.Unmarshaller.
func (t tolerant) Unmarshal(values map[string]interface{}) (*message.Message, error) {
	msg, err := t.Unmarshaller.Unmarshal(values)
	if err == nil {
		return msg, nil
	}
	fields := make([]any, 0, 2*len(values))
	for name, value := range values {
		fields = append(fields, name, value)
	}
	return watermillkit.Undecodable(rediskit.FieldsJSON(fields), err), nil
}
