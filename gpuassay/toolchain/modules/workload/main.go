// Workload is what the containers of a test run: one static program, since there is no shell and no registry.
//
//	workload [STEP [ARGUMENT]]... separated by "--"
//
//	print TEXT          a line on standard output
//	env [PREFIX]        the environment, sorted, NAME=VALUE lines
//	list DIR            names in a directory, sorted; nothing where it does not exist
//	cat FILE            a file
//	add A*B             say "sum=" and the product: evidence that somebody computed
//	touch FILE          make an empty file, with the folders above it
//	get URL             ask by HTTP: status and body
//	api PATH            ask the API server as programs in pods do: by the name of its Service, with the pod's account
//	serve PORT          serve HTTP from now on: / and /ready 200, /health 200 until /break, /env, /list?dir=, /exit?code=
//	sleep DURATION      wait, such as 1.5s
//	deaf                do not react to SIGTERM from now on
//	wait                until SIGTERM
//	exit CODE           end at once
//
// SIGTERM ends it with code 143 at any time, unless it is deaf. "pause" holds a pod's sandbox: it reaps and waits.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const terminated = 128 + int(syscall.SIGTERM)

var deaf atomic.Bool

func main() {
	if filepath.Base(os.Args[0]) == "pause" || (len(os.Args) > 1 && os.Args[1] == "pause") {
		pause()
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range asked {
			if !deaf.Load() {
				os.Exit(terminated)
			}
		}
	}()
	for _, step := range steps(os.Args[1:]) {
		act(step[0], strings.Join(step[1:], " "))
	}
}

// steps cuts the arguments at every "--".
func steps(arguments []string) [][]string {
	var found [][]string
	var step []string
	for _, one := range append(arguments, "--") {
		if one != "--" {
			step = append(step, one)
		} else if len(step) > 0 {
			found, step = append(found, step), nil
		}
	}
	return found
}

func act(verb, argument string) {
	switch verb {
	case "print":
		fmt.Println(argument)
	case "env":
		fmt.Print(environment(argument))
	case "list":
		fmt.Print(list(argument))
	case "cat":
		text, err := os.ReadFile(argument)
		refuse(err)
		fmt.Print(string(text))
	case "add":
		var left, right int64
		_, err := fmt.Sscanf(argument, "%d*%d", &left, &right)
		refuse(err)
		fmt.Printf("sum=%d\n", left*right)
	case "touch":
		refuse(os.MkdirAll(filepath.Dir(argument), 0o755))
		refuse(os.WriteFile(argument, nil, 0o644))
	case "get":
		fmt.Println(ask(http.DefaultClient, argument, ""))
	case "api":
		fmt.Println(askAPI(argument))
	case "serve":
		go serve(argument)
	case "sleep":
		length, err := time.ParseDuration(argument)
		refuse(err)
		time.Sleep(length)
	case "deaf":
		deaf.Store(true)
	case "wait":
		select {}
	case "exit":
		code, err := strconv.Atoi(argument)
		refuse(err)
		os.Exit(code)
	default:
		refuse(fmt.Errorf("unknown step %q", verb))
	}
}

func refuse(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(64)
	}
}

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// ask gives the status and the body of an answer.
func ask(client *http.Client, address, token string) string {
	request, err := http.NewRequest(http.MethodGet, address, nil)
	refuse(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(request)
	refuse(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	refuse(err)
	return fmt.Sprint(answer.StatusCode, " ", string(body))
}

func askAPI(path string) string {
	authority, err := os.ReadFile(account + "ca.crt")
	refuse(err)
	token, err := os.ReadFile(account + "token")
	refuse(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	return ask(&http.Client{Transport: transport}, "https://kubernetes.default.svc"+path, string(token))
}

func environment(prefix string) string {
	var lines []string
	for _, one := range os.Environ() {
		if strings.HasPrefix(one, prefix) {
			lines = append(lines, one+"\n")
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

func list(directory string) string {
	entries, err := os.ReadDir(directory) // sorted by name
	if err != nil && !os.IsNotExist(err) {
		refuse(err)
	}
	var text strings.Builder
	for _, one := range entries {
		text.WriteString(one.Name() + "\n")
	}
	return text.String()
}

func serve(port string) {
	var broken atomic.Bool
	fine := func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") }
	http.HandleFunc("/", fine)
	http.HandleFunc("/health", func(answer http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			answer.WriteHeader(http.StatusInternalServerError)
		}
	})
	http.HandleFunc("/break", func(answer http.ResponseWriter, _ *http.Request) { broken.Store(true) })
	http.HandleFunc("/env", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprint(answer, environment(request.URL.Query().Get("prefix")))
	})
	http.HandleFunc("/list", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprint(answer, list(request.URL.Query().Get("dir")))
	})
	http.HandleFunc("/exit", func(_ http.ResponseWriter, request *http.Request) {
		code, err := strconv.Atoi(request.URL.Query().Get("code"))
		refuse(err)
		os.Exit(code)
	})
	refuse(http.ListenAndServe(":"+port, nil))
}

// pause waits for the end of its pod, and reaps what is orphaned in a shared process namespace.
func pause() {
	asked := make(chan os.Signal, 1)
	children := make(chan os.Signal, 16)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		select {
		case <-asked:
			os.Exit(0)
		case <-children:
			for {
				if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}
