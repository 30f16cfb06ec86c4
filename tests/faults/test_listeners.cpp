// SPDX-License-Identifier: BSL-1.0
// What happens to a Listener: another user calls, a dead server's file is in the way,
// servers race for one path, and clients come and go.
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/temp_dir.hpp"
#include "support/text_of.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::beside;
using test::is_there;
using test::text_of;

TEST_CASE("P15: Listener: another user is refused", "[listener]") {
    if (::geteuid() != 0) {
        WARN("not tested: only root can be somebody else");
        return;
    }
    const bool any_user = GENERATE(false, true);
    const test::LogCapture log;
    Listener listener({.family = Family::unix_socket, .any_user = any_user});
    auto [reader, writer] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([&, &writer = writer] {
        if (::setresuid(65534, 65534, 65534) != 0) {
            return 2;
        }
        Connection connection = Client({.address = listener.address()});
        writer.send_bytes("connected");
        try {
            connection.recv_bytes();
            return 1;
        } catch (const EOFError&) {
            return 0;
        }
    });
    reader.recv_bytes();
    if (any_user) {
        listener.accept(30s).send_bytes("x");
        CHECK(test::exit_status(child) == 1);
    } else {
        auto own = beside([&] { return Client({.address = listener.address()}); });
        const Connection accepted = listener.accept(30s);
        CHECK_THROWS_AS(listener.accept(0s), TimeoutError);
        CHECK(test::exit_status(child) == 0);
        own.get();
        CHECK(log.text().find("of user 65534 was refused") != std::string::npos);
    }
}

TEST_CASE("P16: Listener: replaces what a dead server left", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    const pid_t child = test::fork_child([&] {
        const Listener listener({.address = path});
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(test::exit_status(child) == -SIGKILL);
    REQUIRE(is_there(path));
    Listener listener({.address = path});
    auto client = beside([&] { return Client({.address = path}); });
    CHECK_NOTHROW(listener.accept(30s));
    client.get();
}

TEST_CASE("P17: Listener: of servers that race for one path one wins", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    for (int round = 0; round < 20; ++round) {
        if (round % 2 == 1) {
            // Something is in the way, which every one of them would like to remove.
            CHECK(test::run_in_fork([&] {
                      const Listener dead({.address = path});
                      ::_exit(0);
                      return 0;
                  }) == 0);
        }
        auto [start, starter] = mp::Pipe(Duplex::no);
        auto [verdicts, judge] = mp::Pipe(Duplex::no);
        auto [end, ender] = mp::Pipe(Duplex::no);
        std::vector<pid_t> children;
        for (int i = 0; i < 6; ++i) {
            children.push_back(test::fork_child([&,
                                                 start = start,
                                                 starter = starter,
                                                 judge = judge,
                                                 end = end,
                                                 ender = ender]() mutable {
                starter.close();
                ender.close();
                start.poll(forever);
                try {
                    Listener listener({.address = path});
                    judge.send_bytes("w");
                    const bool served =
                        text_of(listener.accept(30s).recv_bytes()) == "hello";
                    end.poll(forever);
                    return served ? 0 : 1;
                } catch (const std::system_error& e) {
                    judge.send_bytes("l");
                    end.poll(forever);
                    return e.code().value() == EADDRINUSE ? 2 : 3;
                }
            }));
        }
        starter.close();
        judge.close();
        std::string all;
        for (int i = 0; i < 6; ++i) {
            all += text_of(verdicts.recv_bytes());
        }
        CHECK(std::count(all.begin(), all.end(), 'w') == 1);
        Client({.address = path, .timeout = 30s}).send_bytes("hello");
        ender.close();
        int winners = 0;
        for (const pid_t child : children) {
            const int status = test::exit_status(child);
            CHECK((status == 0 || status == 2));
            winners += status == 0 ? 1 : 0;
        }
        CHECK(winners == 1);
    }
}

TEST_CASE("P18: Listener: many clients one after the other", "[listener]") {
    const Family family = GENERATE(Family::unix_socket, Family::inet);
    Listener listener({.family = family});
    int last = -1;
    for (int i = 0; i < 300; ++i) {
        Connection client = Client({.address = listener.address()});
        Connection accepted = listener.accept(30s);
        client.send(i);
        REQUIRE(accepted.recv<int>() == i);
        CHECK((last == -1 || accepted.fileno() == last));
        last = accepted.fileno();
    }
}
