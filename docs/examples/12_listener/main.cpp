// SPDX-License-Identifier: BSL-1.0
// A server at a path, and clients that know the key or do not: they are written in
// Python (client.py), for both ends speak the same language.
#include "mp/mp.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

using mp::connection::Listener;

void become_client(std::string path, std::string key) {
    const char* script = EXAMPLE_DIR "/client.py";
    ::execlp("python3", "python3", script, path.c_str(), key.c_str(), nullptr);
    throw mp::SystemExit("no python3");
}

std::string text(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    std::string directory = "/tmp/mp-example-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) {
        return 1;
    }
    const std::string path = directory + "/socket";
    {
        // CPython 3.11 and older know nothing better than MD5.
        Listener listener({.address = path, .authkey = "secret", .allow_md5 = true});
        std::cout
            << "listening: "
            << std::filesystem::path(listener.address().path()).filename().string()
            << std::endl;

        mp::Process client(become_client, path, "secret");
        client.start();
        mp::Connection connection = listener.accept();
        int total = 0;
        for (auto number = connection.recv_bytes(); !number.empty();
             number = connection.recv_bytes()) {
            total += std::stoi(text(number));
        }
        connection.send_bytes(std::to_string(total));
        std::cout << text(connection.recv_bytes()) << std::endl;
        client.join();
        std::cout << "client: " << client.exitcode().value() << std::endl;

        mp::Process stranger(become_client, path, "guess");
        stranger.start();
        try {
            listener.accept();
        } catch (const mp::AuthenticationError&) {
            std::cout << "a stranger was refused" << std::endl;
        }
        stranger.join();
        std::cout << "stranger: " << stranger.exitcode().value() << std::endl;
    }
    const bool empty = std::filesystem::is_empty(directory);
    std::cout << "left behind: [" << (empty ? "]" : "?") << std::endl;
    std::filesystem::remove_all(directory);
}
