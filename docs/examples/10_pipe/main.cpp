// SPDX-License-Identifier: BSL-1.0
// Two ends: objects and bytes to a child and back, and how a stream ends.
#include "mp/mp.hpp"

#include <array>
#include <cctype>
#include <iostream>
#include <string>
#include <utility>

using Request = std::pair<std::string, int>;

void shout(mp::Connection connection) {
    try {
        for (;;) {
            auto [text, times] = connection.recv<Request>();
            for (char& c : text) {
                c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
            }
            std::string answer;
            for (int i = 0; i < times; ++i) {
                answer += text + "!";
            }
            connection.send(answer);
        }
    } catch (const mp::EOFError&) {
        // every copy of the other end is closed
    }
}

void fill(mp::Connection writer) {
    for (std::size_t i = 0; i < 3; ++i) {
        writer.send_bytes(std::string(i, 'x'));
    }
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    mp::set_start_method("spawn");

    auto [mine, theirs] = mp::Pipe();
    mp::Process p(shout, theirs);
    p.start();
    theirs.close();  // or the child's copy would not be the last one
    mine.send(Request("hello", 2));
    std::cout << mine.recv<std::string>() << std::endl;
    mine.send(Request("bye", 1));
    std::cout << mine.recv<std::string>() << std::endl;
    std::cout << "poll: " << (mine.poll() ? "True" : "False") << std::endl;
    mine.close();
    p.join();
    std::cout << "exit code " << p.exitcode().value() << std::endl;

    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process q(fill, writer);
    q.start();
    writer.close();
    std::array<std::byte, 10> buffer{};
    try {
        for (;;) {
            const std::size_t size = reader.recv_bytes_into(buffer);
            std::cout << "bytes: " << size << std::endl;
        }
    } catch (const mp::EOFError&) {
        std::cout << "the end" << std::endl;
    }
    q.join();
}
