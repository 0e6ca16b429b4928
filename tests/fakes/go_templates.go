// Writes conversations with Go's own text/template, as Ollama does (template/template.go there): its options, and what
// it makes of a conversation before the template sees it. Reads and writes JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
)

type message struct {
	Role    string
	Content string
}

type task struct {
	Template      string
	Conversations [][]message
}

func collate(said []message) (string, []*message) {
	var system []string
	var turns []*message
	for i := range said {
		if said[i].Role == "system" {
			system = append(system, said[i].Content)
		}
		if len(turns) > 0 && turns[len(turns)-1].Role == said[i].Role {
			turns[len(turns)-1].Content += "\n\n" + said[i].Content
		} else {
			turns = append(turns, &said[i])
		}
	}
	return strings.Join(system, "\n\n"), turns
}

func main() {
	var tasks []task
	if err := json.NewDecoder(os.Stdin).Decode(&tasks); err != nil {
		panic(err)
	}
	written := [][]string{}
	for _, one := range tasks {
		parsed, err := template.New("").Option("missingkey=zero").Parse(one.Template)
		texts := []string{}
		for _, said := range one.Conversations {
			var text strings.Builder
			if err == nil {
				system, turns := collate(said)
				err = parsed.Execute(&text, map[string]any{"System": system, "Messages": turns, "Response": ""})
			}
			if err != nil {
				texts = append(texts, fmt.Sprint("error: ", err))
				continue
			}
			texts = append(texts, text.String())
		}
		written = append(written, texts)
	}
	if err := json.NewEncoder(os.Stdout).Encode(written); err != nil {
		panic(err)
	}
}
