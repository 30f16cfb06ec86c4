// SPDX-License-Identifier: BSL-1.0
// A block of bytes and a list that two processes share by name.
#include "mp/mp.hpp"

#include <iostream>
#include <string>
#include <system_error>

void count_up(const std::string& name) {
    const mp::SharedMemory block({.name = name});
    for (std::byte& byte : block.buf()) {
        byte = static_cast<std::byte>(std::to_integer<int>(byte) + 1);
    }
}

void fill_in(const std::string& name) {
    mp::ShareableList record({.name = name});
    record.set(1, 42);
    record.set(2, "grün");
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    mp::SharedMemory block({.create = true, .size = 10});
    for (int i = 0; i < 10; ++i) {
        block.buf()[static_cast<std::size_t>(i)] = static_cast<std::byte>(i);
    }
    mp::Process p(count_up, block.name());
    p.start();
    p.join();
    std::cout << p.exitcode().value();
    for (const std::byte byte : block.buf()) {
        std::cout << ' ' << std::to_integer<int>(byte);
    }
    std::cout << std::endl;

    mp::ShareableList record{"answer", 0, "blue", nullptr, 2.5};
    mp::Process q(fill_in, record.shm().name());
    q.start();
    q.join();
    std::cout << q.exitcode().value() << ' ' << record.at<std::string>(0) << ' '
              << record.at<int>(1) << ' ' << record.at<std::string>(2) << ' '
              << record.at<double>(4) << std::endl;
    std::cout << record.size() << ' ' << record.index(42) << ' ' << record.format()
              << std::endl;

    record.shm().unlink();
    block.close();
    block.unlink();
    try {
        const mp::SharedMemory again({.name = block.name()});
    } catch (const std::system_error& error) {
        if (error.code() == std::errc::no_such_file_or_directory) {
            std::cout << "gone" << std::endl;
        }
    }
}
