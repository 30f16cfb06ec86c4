// SPDX-License-Identifier: BSL-1.0
// A child that works, one that fails, and one that is killed.
#include "mp/mp.hpp"

#include <iostream>
#include <string>

void add_up(const std::string& name, int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += i;
    }
    std::cout << name << ": " << sum << std::endl;
}

void give_up(int status) {
    throw mp::SystemExit(status);
}

void wait_for_ever(mp::Connection connection) {
    connection.recv_bytes();  // nobody sends anything
}

// What Python prints for None, False and True.
std::string text(std::optional<int> code) {
    return code ? std::to_string(*code) : "None";
}

std::string text(bool value) {
    return value ? "True" : "False";
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    mp::Process p(add_up, "sum", 1000);
    std::cout << p.name() << ' ' << text(p.is_alive()) << ' ' << text(p.exitcode())
              << std::endl;
    p.start();
    p.join();
    std::cout << p.name() << ' ' << text(p.is_alive()) << ' ' << text(p.exitcode())
              << std::endl;

    mp::Process q({.name = "quitter"}, give_up, 7);
    q.start();
    q.join();
    std::cout << q.name() << ' ' << text(q.exitcode()) << std::endl;

    auto [mine, theirs] = mp::Pipe();
    mp::Process r({.daemon = true}, wait_for_ever, theirs);
    r.start();
    std::cout << r.name() << " children: " << mp::active_children().size() << std::endl;
    r.kill();
    r.join();
    std::cout << r.name() << ' ' << text(r.exitcode())
              << " children: " << mp::active_children().size() << std::endl;
}
