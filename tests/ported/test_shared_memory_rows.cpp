// SPDX-License-Identifier: BSL-1.0
// SharedMemory and what becomes of it when a process ends, by the rows of the
// conformance table.
#include "mp/mp.hpp"

#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/python_shared_memory.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

using test::error_of;
using test::with_each_python;

namespace {

mp::SharedMemory make(const std::string& name, std::size_t size) {
    return mp::SharedMemory({.name = name, .create = true, .size = size});
}

mp::SharedMemory attach(const std::string& name) {
    return mp::SharedMemory({.name = name});
}

std::string own_name(const char* what) {
    return "mp-" + std::to_string(::getpid()) + '-' + what;
}

std::byte& first(const mp::SharedMemory& memory) {
    return memory.buf().front();
}

void add_one_by_name(const std::string& name) {
    first(attach(name)) = std::byte{1};
}

void add_one(mp::SharedMemory memory) {
    first(memory) = std::byte{1};
}

}  // namespace

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_name_with_embedded_null: refused",
    "[shared_memory]"
) {
    const std::string name("mp\0x", 4);
    CHECK_THROWS_AS(attach(name), std::invalid_argument);
    CHECK_THROWS_AS(make(name, 1), std::invalid_argument);
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_basics: as in Python", "[shared_memory]"
) {
    const std::string name = own_name("basics");
    mp::SharedMemory memory = make(name, 512);
    CHECK(memory.name() == name);
    CHECK(memory.size() >= 512);
    CHECK(memory.buf().size() >= 512);
    memory.buf()[0] = std::byte{42};
    mp::SharedMemory same({.name = name, .size = 10});
    CHECK(same.size() == memory.size());
    CHECK(same.buf()[0] == std::byte{42});
    same.buf()[511] = std::byte{7};
    CHECK(memory.buf()[511] == std::byte{7});
    same.close();
    same.close();
    CHECK(memory.buf()[0] == std::byte{42});
    CHECK(error_of([&] { make(name, 512); }) == EEXIST);
    CHECK_THROWS_AS(mp::SharedMemory({.size = 1}), std::invalid_argument);
    CHECK_THROWS_AS(
        mp::SharedMemory({.create = true, .size = -1}), std::invalid_argument
    );
    memory.unlink();
    CHECK(error_of([&] { memory.unlink(); }) == ENOENT);
    CHECK(error_of([&] { attach(name); }) == ENOENT);
}

TEST_CASE(
    "_TestSharedMemory.test_invalid_shared_memory_creation, "
    "_TestSharedMemory.test_invalid_shared_memory_cration: no size",
    "[shared_memory]"
) {
    CHECK_THROWS_AS(
        mp::SharedMemory({.create = true, .size = -1}), std::invalid_argument
    );
    CHECK_THROWS_AS(
        mp::SharedMemory({.create = true, .size = 0}), std::invalid_argument
    );
    CHECK_THROWS_AS(mp::SharedMemory({.create = true}), std::invalid_argument);
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_pickle_unpickle: both ways", "[shared_memory]"
) {
    mp::SharedMemory memory({.create = true, .size = 512});
    first(memory) = std::byte{1};
    const auto same = mp::loads<mp::SharedMemory>(mp::dumps(memory));
    CHECK(same.name() == memory.name());
    CHECK(first(same) == std::byte{1});
    same.buf()[1] = std::byte{2};
    CHECK(memory.buf()[1] == std::byte{2});
    memory.unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_pickle_unpickle_dead_object: ENOENT",
    "[shared_memory]"
) {
    mp::SharedMemory memory({.create = true, .size = 512});
    const auto bytes = mp::dumps(memory);
    memory.unlink();
    CHECK(error_of([&] { mp::loads<mp::SharedMemory>(bytes); }) == ENOENT);
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_across_processes: by name and as it is",
    "[shared_memory]"
) {
    const mp::Context ctx = each_start_method();
    mp::SharedMemory memory({.create = true, .size = 512});
    auto p = ctx.Process(add_one_by_name, memory.name());
    p.start();
    p.join();
    CHECK(std::exchange(first(memory), std::byte{0}) == std::byte{1});
    auto q = ctx.Process(add_one, memory);
    q.start();
    q.join();
    CHECK(first(memory) == std::byte{1});
    memory.unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_cleaned_after_process_termination: gone",
    "[resource_tracker]"
) {
    std::string name;
    auto [ours, theirs] = mp::Pipe();
    const auto captured = test::run_captured([&, &theirs = theirs] {
        mp::SharedMemory memory({.create = true, .size = 10});
        theirs.send(memory.name());
        ::raise(SIGTERM);
        return 0;
    });
    name = ours.recv<std::string>();
    CHECK(captured.status == -SIGTERM);
    CHECK(captured.text.find("1 leaked shared_memory object") != std::string::npos);
    CHECK_FALSE(test::has_name(name));
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_untracking: an attacher's end removes "
    "nothing",
    "[resource_tracker]"
) {
    mp::SharedMemory memory({.create = true, .size = 10});
    const auto captured = test::run_captured([&] {
        const auto same = attach(memory.name());
        mp::resource_tracker::ensure_running();
        return first(same) == std::byte{0} ? 0 : 1;
    });
    CHECK(captured.status == 0);
    CHECK(captured.text.empty());
    CHECK(test::has_name(memory.name()));
    memory.unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_tracking: a maker's end does, one who "
    "attached "
    "in CPython, too",
    "[resource_tracker][python]"
) {
    SECTION("a maker of ours") {
        auto [ours, theirs] = mp::Pipe();
        const auto captured = test::run_captured([&, &theirs = theirs] {
            const mp::SharedMemory memory({.create = true, .size = 10});
            theirs.send(memory.name());
            return 0;
        });
        CHECK(captured.text.find("1 leaked shared_memory object") != std::string::npos);
        CHECK_FALSE(test::has_name(ours.recv<std::string>()));
    }
    SECTION("an attacher of CPython: the name is lost, the memory is not") {
        with_each_python(
            R"(
import os
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
segment = shared_memory.SharedMemory(name=c.recv_bytes().decode())
segment.buf[0] = 7
segment.close()
c.send_bytes(b'done')
)",
            [](mp::Connection& python) {
                mp::SharedMemory memory({.create = true, .size = 10});
                python.send_bytes(memory.name());
                python.recv_bytes();
                CHECK(test::wait_until_gone(memory.name()));
                CHECK(first(memory) == std::byte{7});
                CHECK(error_of([&] { memory.unlink(); }) == ENOENT);
            }
        );
    }
}
