// An echo server as Go programs are written, a goroutine for each connection: echo PORT [WORK].
//
// A subject of `lab compare`. WORK is what each line costs before it is echoed, in seconds: io=0.005
// waits, io=exp:0.005 waits so long on average, cpu=0.001 computes. The backlog is the kernel's limit.
package main

import (
	"bytes"
	"log"
	"math/rand"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const bufferBytes = 64 * 1024 // As much as our own server reads at once.
const ofThisThread = 1        // RUSAGE_THREAD

type payment func()

// used is the processor time of this thread.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(ofThisThread, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func burn(amount time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for end := used() + amount; used() < end; {
		for round := 0; round < 1000; round++ {
		}
	}
}

func seconds(text string) time.Duration {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		log.Fatal(err)
	}
	return time.Duration(value * float64(time.Second))
}

func paymentOf(work string) payment {
	kind, amount, _ := strings.Cut(work, "=")
	mean := strings.TrimPrefix(amount, "exp:")
	switch {
	case kind == "cpu":
		length := seconds(amount)
		return func() { burn(length) }
	case kind == "io" && mean != amount:
		average := float64(seconds(mean))
		return func() { time.Sleep(time.Duration(rand.ExpFloat64() * average)) }
	case kind == "io":
		length := seconds(amount)
		return func() { time.Sleep(length) }
	default:
		return nil
	}
}

func serve(connection net.Conn, pay payment) {
	defer connection.Close()
	buffer := make([]byte, bufferBytes)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if pay != nil {
			for lines := bytes.Count(buffer[:count], []byte{'\n'}); lines > 0; lines-- {
				pay()
			}
		}
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func main() {
	work := "none"
	if len(os.Args) > 2 {
		work = os.Args[2]
	}
	pay := paymentOf(work)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection, pay)
	}
}
