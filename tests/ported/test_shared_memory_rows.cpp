// SPDX-License-Identifier: BSL-1.0
// SharedMemory and ShareableList, by the rows of the conformance table; and with the
// real CPython on the other side.
#include "mp/mp.hpp"

#include "os/socket.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

namespace {

// What getrandom() below answers, first; then the kernel does.
std::vector<std::string> forced_random;

template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

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

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Runs the script in each python3 from 3.9 on; `talk` is the other side.
/// The script has a Connection `c`, and `untrack(segment)`.
template <class Talk>
void with_each_python(const std::string& script, Talk talk) {
    const std::string begin = R"(
import sys
from multiprocessing.connection import Connection
c = Connection(int(sys.argv[1]))
try:
    from multiprocessing import shared_memory, resource_tracker
    # ShareableList had another layout in 3.8.
    if sys.version_info < (3, 9): raise ImportError
except ImportError:
    c.send_bytes(b'none')
    sys.exit(0)
c.send_bytes(b'ready')
def untrack(segment):
    resource_tracker.unregister(segment._name, 'shared_memory')
)";
    int spoken_with = 0;
    for (const std::string& program : test::pythons()) {
        INFO(program);
        auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
        mp::Connection connection(std::move(ours));
        const pid_t child = test::run_python(program, begin + script, theirs.get());
        theirs.reset();
        try {
            if (text_of(connection.recv_bytes()) == "ready") {
                talk(connection);
                ++spoken_with;
            }
        } catch (const mp::EOFError&) {
            // No such program, or the script failed: its status tells.
        }
        connection.close();
        const int status = test::exit_status(child);
        CHECK((status == 0 || status == 127));
    }
    if (spoken_with == 0) {
        WARN("no python3 with multiprocessing.shared_memory: not tested");
    }
}

}  // namespace

extern "C" ssize_t getrandom(void* buffer, size_t size, unsigned flags) {
    if (!forced_random.empty() && forced_random.front().size() == size) {
        std::memcpy(buffer, forced_random.front().data(), size);
        forced_random.erase(forced_random.begin());
        return static_cast<ssize_t>(size);
    }
    return ::syscall(SYS_getrandom, buffer, size, flags);
}

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
    "_TestSharedMemory.test_shared_memory_recreate: a random name that is taken",
    "[shared_memory]"
) {
    forced_random = {std::string(4, 'a'), std::string(4, 'a'), std::string(4, 'b')};
    mp::SharedMemory first_one({.create = true, .size = 1});
    mp::SharedMemory second_one({.create = true, .size = 1});
    CHECK(first_one.name() == "psm_61616161");
    CHECK(second_one.name() == "psm_62626262");
    CHECK(forced_random.empty());
    first_one.unlink();
    second_one.unlink();
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
    "_TestSharedMemory.test_shared_memory_ShareableList_basics: as in Python",
    "[shareable_list]"
) {
    const std::vector<std::byte> howdy = {
        std::byte{'H'}, std::byte{'o'}, std::byte{'W'}, std::byte{'d'}, std::byte{'Y'}};
    mp::ShareableList list{"howdy", howdy, -273.154, 100, nullptr, true, 42};
    CHECK(list.format() == "8s8sdqxxxxxx?xxxxxxxx?q");
    CHECK(list.size() == 7);
    CHECK_THROWS_AS(list[7], std::out_of_range);
    CHECK_THROWS_AS(list.set(7, 2), std::out_of_range);
    CHECK(list.index(42) == 6);
    CHECK(list.count("howdy") == 1);
    CHECK(list.at<int>(-1) == 42);
    CHECK(std::count(list.begin(), list.end(), mp::ShareableItem(howdy)) == 1);
    list.set(3, -1000);
    CHECK(list.at<int>(3) == -1000);
    list.set(3, 0.5);
    CHECK(list.at<double>(3) == 0.5);
    list.set(3, "1");
    CHECK(list.format() == "8s8sd8sxxxxxx?xxxxxxxx?q");
    // "encodé" has seven bytes of UTF-8 and is 6 characters long.
    list.set(0, "encod\xc3\xa9");
    CHECK(list.at<std::string>(0) == "encod\xc3\xa9");
    CHECK_THROWS_AS(list.set(0, "far too many"), std::invalid_argument);
    CHECK(list.at<std::string>(0) == "encod\xc3\xa9");
    CHECK(list[1] == howdy);

    const std::string name = own_name("duplicate");
    mp::ShareableList copy({.name = name}, list.items());
    CHECK(copy.shm().name() == name);
    CHECK(copy.shm().name() != list.shm().name());
    copy.set(-1, 100);
    CHECK(list.at<int>(-1) == 42);
    const mp::ShareableList shared({.name = name});
    CHECK(shared.at<int>(-1) == 100);
    copy.shm().unlink();
    list.shm().unlink();

    mp::ShareableList empty(std::initializer_list<mp::ShareableItem>{});
    CHECK(empty.size() == 0);
    CHECK(empty.format().empty());
    CHECK(empty.count(nullptr) == 0);
    CHECK_THROWS_AS(empty.index(nullptr), std::invalid_argument);
    empty.shm().unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_ShareableList_pickling: only the name",
    "[shareable_list]"
) {
    mp::ShareableList short_one{1};
    mp::ShareableList long_one({}, std::vector<mp::ShareableItem>(1000, "something"));
    const auto bytes = mp::dumps(long_one);
    CHECK(bytes.size() == mp::dumps(short_one).size());
    auto same = mp::loads<mp::ShareableList>(bytes);
    CHECK(same.shm().name() == long_one.shm().name());
    same.set(-1, 3);
    CHECK(long_one.at<int>(-1) == 3);
    short_one.shm().unlink();
    long_one.shm().unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_ShareableList_pickling_dead_object: ENOENT",
    "[shareable_list]"
) {
    mp::ShareableList list{1, 2};
    const auto bytes = mp::dumps(list);
    list.shm().unlink();
    CHECK(error_of([&] { mp::loads<mp::ShareableList>(bytes); }) == ENOENT);
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

TEST_CASE("SharedMemory: CPython makes it, we attach", "[shared_memory][python]") {
    with_each_python(
        R"(
segment = shared_memory.SharedMemory(create=True, size=100)
segment.buf[:6] = b'python'
c.send_bytes(segment.name.encode())
assert c.recv_bytes() == b'written'
assert bytes(segment.buf[94:100]) == b'native'
segment.close()
segment.unlink()
)",
        [](mp::Connection& python) {
            const mp::SharedMemory memory = attach(text_of(python.recv_bytes()));
            REQUIRE(memory.size() == 100);
            CHECK(std::memcmp(memory.buf().data(), "python", 6) == 0);
            std::memcpy(memory.buf().data() + 94, "native", 6);
            python.send_bytes("written");
        }
    );
}

// What must survive what: case W4.
TEST_CASE(
    "SharedMemory: we make it, CPython attaches and does not track it",
    "[shared_memory][python]"
) {
    with_each_python(
        R"(
name = c.recv_bytes().decode()
if sys.version_info >= (3, 13):
    segment = shared_memory.SharedMemory(name=name, track=False)
else:
    segment = shared_memory.SharedMemory(name=name)
    untrack(segment)
assert segment.size == 100
assert bytes(segment.buf[:6]) == b'native'
segment.buf[94:100] = b'python'
segment.close()
)",
        [](mp::Connection& python) {
            mp::SharedMemory memory({.create = true, .size = 100});
            std::memcpy(memory.buf().data(), "native", 6);
            python.send_bytes(memory.name());
            CHECK_THROWS_AS(python.recv_bytes(), mp::EOFError);
            CHECK(std::memcmp(memory.buf().data() + 94, "python", 6) == 0);
            CHECK(test::has_name(memory.name()));
            memory.unlink();
        }
    );
}

TEST_CASE("ShareableList: CPython makes it, we use it", "[shareable_list][python]") {
    with_each_python(
        R"(
items = ['howdy', b'HoWdY', -273.154, 100, None, True, 2**63 - 1, 'x' * 15]
l = shared_memory.ShareableList(items)
c.send_bytes(l.shm.name.encode())
c.send_bytes(l.format.encode())
assert c.recv_bytes() == b'written'
assert list(l) == ['g\u00fcn', None, False, b'bytes', 2.5, -1, 'text', 'y' * 16], list(l)
l.shm.close()
l.shm.unlink()
)",
        [](mp::Connection& python) {
            mp::ShareableList list({.name = text_of(python.recv_bytes())});
            CHECK(list.format() == text_of(python.recv_bytes()));
            REQUIRE(list.size() == 8);
            CHECK(list.at<std::string>(0) == "howdy");
            CHECK(text_of(list.at<std::vector<std::byte>>(1)) == "HoWdY");
            CHECK(list.at<double>(2) == -273.154);
            CHECK(list.at<int>(3) == 100);
            CHECK(list[4] == mp::ShareableItem(nullptr));
            CHECK(list.at<bool>(5));
            CHECK(list.at<std::int64_t>(6) == INT64_MAX);
            CHECK(list.at<std::string>(7) == std::string(15, 'x'));
            list.set(0, "g\xc3\xbcn");
            list.set(1, nullptr);
            list.set(2, false);
            const std::string bytes = "bytes";
            list.set(3, std::as_bytes(std::span(bytes)));
            list.set(4, 2.5);
            list.set(5, -1);
            list.set(6, "text");
            list.set(7, std::string(16, 'y'));
            python.send_bytes("written");
        }
    );
}

TEST_CASE("ShareableList: we make it, CPython uses it", "[shareable_list][python]") {
    with_each_python(
        R"(
name = c.recv_bytes().decode()
l = shared_memory.ShareableList(name=name)
untrack(l.shm)
assert list(l) == [1, 2.5, '\u20ac' * 20, True, None, b'raw', ''], list(l)
assert l.format == c.recv_bytes().decode(), l.format
l[0] = 'text'
l[1] = None
l[2] = 'e\u0301' * 20
l[3] = 3
l[4] = False
l[6] = b'seven b'
l.shm.close()
)",
        [](mp::Connection& python) {
            std::string euros;
            std::string accents;
            for (int i = 0; i < 20; ++i) {
                euros += "\xe2\x82\xac";
                accents += "e\xcc\x81";
            }
            const std::string raw = "raw";
            mp::ShareableList list{
                1, 2.5, euros, true, nullptr, std::as_bytes(std::span(raw)), ""};
            python.send_bytes(list.shm().name());
            python.send_bytes(list.format());
            CHECK_THROWS_AS(python.recv_bytes(), mp::EOFError);
            CHECK(list.at<std::string>(0) == "text");
            CHECK(list[1] == mp::ShareableItem(nullptr));
            CHECK(list.at<std::string>(2) == accents);
            CHECK(list.at<int>(3) == 3);
            CHECK_FALSE(list.at<bool>(4));
            CHECK(text_of(list.at<std::vector<std::byte>>(6)) == "seven b");
            list.shm().unlink();
        }
    );
}
