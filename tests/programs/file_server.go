// Somebody's file server: net/http of the standard library. Says when it listens.
//
//	file_server PORT DIRECTORY
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Println("listening")
	panic(http.Serve(listener, http.FileServer(http.Dir(os.Args[2]))))
}
