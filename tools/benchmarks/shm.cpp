// SPDX-License-Identifier: BSL-1.0
// What shared memory costs to make, to find and to remove, and one access to what is
// kept in it.
#include "mp/mp.hpp"

#include "bench.hpp"

#include <boost/interprocess/managed_shared_memory.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace bench {

namespace {

constexpr std::size_t size = 4096;

int checked(int result, const char* what) {
    if (result < 0) {
        throw std::runtime_error(what);
    }
    return result;
}

std::string own_name() {
    return "/mp-bench-" + std::to_string(::getpid());
}

template <class Once>
double microseconds_of(const Settings& settings, Once once) {
    const int times = settings.quick ? 100 : 1000;
    return seconds_of(
               settings.quick ? 3 : 15,
               [&] {
                   for (int i = 0; i < times; ++i) {
                       once();
                   }
               }
           ) /
           times * 1e6;
}

template <class Once>
double nanoseconds_of(const Settings& settings, Once once) {
    return microseconds_of(
               settings,
               [&] {
                   for (int i = 0; i < 100; ++i) {
                       once();
                   }
               }
           ) *
           10;
}

void make_and_find(bool track) {
    mp::SharedMemory made({.create = true, .size = size, .track = track});
    const mp::SharedMemory found({.name = made.name()});
    made.unlink();
}

/// The calls that CPython makes: no memory is reserved, and nobody is told.
void least_calls(const std::string& name) {
    const int made = checked(
        ::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600),
        "shm_open"
    );
    checked(::ftruncate(made, size), "ftruncate");
    const auto map = [](int fd) {
        return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    };
    void* const first = map(made);
    const int found = checked(::shm_open(name.c_str(), O_RDWR, 0), "shm_open");
    struct stat status {};
    ::fstat(found, &status);
    void* const second = map(found);
    ::shm_unlink(name.c_str());
    ::munmap(first, size);
    ::munmap(second, size);
    ::close(made);
    ::close(found);
}

void lock_for_reading(int fd) {
    struct flock whole {};
    whole.l_type = F_RDLCK;
    checked(::fcntl(fd, F_OFD_SETLK, &whole), "F_OFD_SETLK");
}

/// The calls that ours makes: a file without a name, its memory, locks, the name last.
void same_calls(const std::string& name) {
    const std::string path = "/dev/shm" + name;
    const int made =
        checked(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), "O_TMPFILE");
    checked(::fallocate(made, 0, 0, size), "fallocate");
    lock_for_reading(made);
    struct stat status {};
    ::fstat(made, &status);
    const auto map = [](int fd) {
        return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    };
    void* const first = map(made);
    if (::linkat(made, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH) != 0) {
        const std::string self = "/proc/self/fd/" + std::to_string(made);
        checked(
            ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW),
            "linkat"
        );
    }
    const int found = checked(::open(path.c_str(), O_RDWR | O_CLOEXEC), "open");
    lock_for_reading(found);
    ::fstat(found, &status);
    void* const second = map(found);
    ::lstat(path.c_str(), &status);
    ::unlink(path.c_str());
    ::munmap(first, size);
    ::munmap(second, size);
    ::close(made);
    ::close(found);
}

void make_and_find_by_boost(const std::string& name) {
    namespace ipc = boost::interprocess;
    constexpr std::size_t boost_size = 65536;
    const ipc::managed_shared_memory made(ipc::create_only, name.c_str(), boost_size);
    const ipc::managed_shared_memory found(ipc::open_only, name.c_str());
    ipc::shared_memory_object::remove(name.c_str());
}

void make_anonymous() {
    const int fd = checked(::memfd_create("bench", MFD_CLOEXEC), "memfd_create");
    checked(::ftruncate(fd, size), "ftruncate");
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *static_cast<volatile char*>(memory) = 1;
    ::munmap(memory, size);
    ::close(fd);
}

}  // namespace

void bench_shm(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "shm");
    const std::string name = own_name();
    const double least = microseconds_of(settings, [&] { least_calls(name); });
    const double same = microseconds_of(settings, [&] { same_calls(name); });
    const double boost =
        microseconds_of(settings, [&] { make_and_find_by_boost(name); });

    mp::resource_tracker::ensure_running();
    Row named{
        .group = "shm",
        .name = "make+attach+unlink, tracked",
        .unit = Unit::microseconds,
        .ours = microseconds_of(settings, [] { make_and_find(true); }),
        .others =
            {{"same calls", same}, {"least calls", least}, {"Boost managed", boost}},
        .rival = "CPython",
        .target = {},
    };
    add_figure(named, "CPython", python, "named");
    table.add(std::move(named));
    table.add({
        .group = "shm",
        .name = "make+attach+unlink",
        .unit = Unit::microseconds,
        .ours = microseconds_of(settings, [] { make_and_find(false); }),
        .others = {{"same calls", same}, {"least calls", least}},
        .rival = "same calls",
        .target = 1 / 1.2,
    });

    Row anonymous{
        .group = "shm",
        .name = "RawArray of 4 KiB",
        .unit = Unit::microseconds,
        .ours = microseconds_of(
            settings,
            [] {
                const mp::RawArray<char> array(size);
                array[0] = 1;
            }
        ),
        .others = {{"memfd", microseconds_of(settings, make_anonymous)}},
        .rival = "memfd",
        .target = 1 / 1.2,
    };
    add_figure(anonymous, "CPython", python, "array");
    table.add(std::move(anonymous));

    mp::Value<int> value(0);
    Row access{
        .group = "shm",
        .name = "Value get+set, locked",
        .unit = Unit::nanoseconds,
        .ours = nanoseconds_of(settings, [&] { value.set(value.get() + 1); }),
        .others = {},
        .rival = "CPython",
        .target = 10,
    };
    add_figure(access, "CPython", python, "value");
    table.add(std::move(access));

    mp::ShareableList list{1, 2.5, "text"};
    Row item{
        .group = "shm",
        .name = "ShareableList at+set",
        .unit = Unit::nanoseconds,
        .ours = nanoseconds_of(settings, [&] { list.set(0, list.at<int>(0) + 1); }),
        .others = {},
        .rival = "CPython",
        .target = 10,
    };
    add_figure(item, "CPython", python, "list");
    table.add(std::move(item));
    list.shm().unlink();
    mp::stop_helpers();
}

}  // namespace bench
