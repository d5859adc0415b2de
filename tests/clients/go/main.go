// Command client is Go's net/http as an application uses it: proxy and CA from the environment. Arguments: URLs.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	client := &http.Client{Timeout: 60 * time.Second}
	for _, url := range os.Args[1:] {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer own-key-of-the-application")
		reply, err := client.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(reply.Body)
		if err != nil {
			log.Fatal(err)
		}
		reply.Body.Close()
		show := map[string]any{"status": reply.StatusCode, "type": reply.Header.Get("Content-Type"), "body": string(body), "protocol": reply.Proto}
		if err := json.NewEncoder(os.Stdout).Encode(show); err != nil {
			log.Fatal(err)
		}
	}
}
