// SPDX-License-Identifier: BSL-1.0
// References to code: functions of the program and of shared libraries, by build-id.
#include "mp/call.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <thread>

namespace {

using namespace mp::detail;
namespace fs = std::filesystem;

int twice(int x) {
    return 2 * x;
}

struct Numbers {
    static int thrice(int x) { return 3 * x; }
};

template <class F>
const void* address_of(F* function) {
    return reinterpret_cast<const void*>(function);
}

using IntFunction = int (*)(int);

IntFunction as_function(const void* address) {
    return reinterpret_cast<IntFunction>(const_cast<void*>(address));
}

std::string written(const void* function) {
    ByteWriter out;
    write_code_ref(out, function);
    const auto bytes = out.data();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const void* read(const std::string& bytes) {
    ByteReader in(std::as_bytes(std::span(bytes)));
    const void* function = read_code_ref(in);
    CHECK(in.left() == 0);
    return function;
}

std::string refusal(const std::string& bytes) {
    ByteReader in(std::as_bytes(std::span(bytes)));
    try {
        read_code_ref(in);
    } catch (const mp::BinaryMismatch& e) {
        return e.what();
    }
    return "not refused";
}

std::string word(std::uint64_t value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// A shared library in a folder of its own, loaded and unloaded by hand.
class Library {
public:
    explicit Library(const char* file) {
        std::string name = (fs::temp_directory_path() / "code_ref_XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        folder_ = name;
        replace_by(file);
    }

    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    ~Library() { fs::remove_all(folder_); }

    fs::path folder() const { return folder_; }

    fs::path path() const { return folder_ / "library.so"; }

    void replace_by(const char* file) {
        fs::remove(path());
        fs::copy_file(file, path());
    }

    const void* load(const fs::path& as = {}) {
        handle_ = ::dlopen(as.empty() ? path().c_str() : as.c_str(), RTLD_NOW);
        REQUIRE(handle_ != nullptr);
        return ::dlsym(handle_, "scale");
    }

    void unload() {
        ::dlclose(handle_);
        // Else what follows would test nothing.
        REQUIRE(::dlopen(path().c_str(), RTLD_NOW | RTLD_NOLOAD) == nullptr);
    }

private:
    fs::path folder_;
    void* handle_ = nullptr;
};

std::string written_by_unloaded(Library& library) {
    const std::string bytes = written(library.load());
    library.unload();
    return bytes;
}

}  // namespace

TEST_CASE("code_ref: a function of the program takes eight bytes and comes back") {
    const auto lambda = [](int x) {
        return x + 1;
    };
    const void* functions[] = {
        address_of(&twice), address_of(&Numbers::thrice), address_of(+lambda)};
    for (const void* function : functions) {
        CHECK(written(function).size() == 8);
        CHECK(read(written(function)) == function);
    }
    CHECK(as_function(read(written(address_of(&twice))))(21) == 42);
}

TEST_CASE("code_ref: a function of a library in use is named by the library's build-id"
) {
    const void* function = address_of(&::getpid);
    const std::string bytes = written(function);
    CHECK(bytes.size() > 8);
    CHECK(read(bytes) == function);
}

TEST_CASE("code_ref: what is no function is refused when writing") {
    static int data = 0;
    ByteWriter out;
    CHECK_THROWS_AS(write_code_ref(out, nullptr), std::invalid_argument);
    CHECK_THROWS_AS(write_code_ref(out, &data), std::invalid_argument);
    CHECK_THROWS_AS(write_code_ref(out, &out), std::invalid_argument);
    CHECK(out.empty());
}

TEST_CASE("code_ref: a library without a build-id is refused, with the flag to add") {
    Library library(MODULE_WITHOUT_ID);
    const void* function = library.load();
    ByteWriter out;
    try {
        write_code_ref(out, function);
        FAIL("not refused");
    } catch (const mp::BinaryMismatch& e) {
        const std::string what = e.what();
        CHECK(what.find("-Wl,--build-id") != std::string::npos);
        CHECK(what.find("library.so") != std::string::npos);
    }
    library.unload();
}

TEST_CASE("code_ref: the headers of a library are no code, even where code may run") {
    Library library(MODULE_JOINED);
    const void* function = library.load();
    CHECK(as_function(function)(2) == 10);
    CHECK(read(written(function)) == function);
    Dl_info info{};
    REQUIRE(::dladdr(function, &info) != 0);
    ByteWriter out;
    CHECK_THROWS_AS(write_code_ref(out, info.dli_fbase), std::invalid_argument);
    library.unload();
}

TEST_CASE("code_ref: a library that is not loaded here is loaded from its file") {
    Library library(MODULE);
    const std::string bytes = written_by_unloaded(library);
    const void* function = read(bytes);
    CHECK(as_function(function)(2) == 14);
    CHECK(read(bytes) == function);

    SECTION("and its functions can be sent on from here") {
        CHECK(written(function) == bytes);
    }
    SECTION("and so is another one after it") {
        Library other(MODULE_CHANGED);
        CHECK(as_function(read(written_by_unloaded(other)))(2) == 16);
    }
}

TEST_CASE("code_ref: a library loaded by a relative path is found from elsewhere") {
    Library library(MODULE_CHANGED);
    const fs::path before = fs::current_path();
    fs::current_path(library.folder());
    const std::string bytes = written(library.load("./library.so"));
    fs::current_path(before);
    library.unload();
    CHECK(bytes.find(library.path().string()) != std::string::npos);
}

TEST_CASE("code_ref: a library whose file was replaced is refused, with both build-ids"
) {
    Library library(MODULE_OTHER);
    const std::string bytes = written_by_unloaded(library);
    library.replace_by(MODULE_WITHOUT_ID);
    CHECK(refusal(bytes).find("now has no build-id") != std::string::npos);
    library.replace_by(MODULE);
    const std::string text = refusal(bytes);
    CHECK(text.find(library.path().string()) != std::string::npos);
    CHECK(text.find("but the file there now has build-id ") != std::string::npos);
    fs::remove(library.path());
    CHECK(refusal(bytes).find("cannot be opened") != std::string::npos);
    std::ofstream(library.path()) << "#!/bin/sh\n";
    CHECK(refusal(bytes).find("no shared library") != std::string::npos);
    std::ofstream(library.path())
        << std::string("\177ELF\2\1\1", 7) + std::string(57, 'x');
    CHECK(refusal(bytes).find("no shared library") != std::string::npos);
}

TEST_CASE("code_ref: bytes that name no code are refused") {
    CHECK(refusal(word(0)).find("no code at offset") != std::string::npos);
    CHECK(
        refusal(word((1ull << 48) - 1)).find("no code at offset") != std::string::npos
    );
    CHECK(refusal(word(1ull << 48)).find("not a code reference") != std::string::npos);
    CHECK(
        refusal(word(0xffffull << 48) + std::string(4, '\0')).find("no build-id") !=
        std::string::npos
    );
    const std::string unknown("\x02\x00zz\x09\x00/no/such/", 15);
    CHECK(refusal(word(0xffffull << 48) + unknown).find("7a7a") != std::string::npos);

    std::string whole = written(address_of(&::getpid));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        ByteReader in(std::as_bytes(std::span(whole)).first(size));
        CHECK_THROWS_AS(read_code_ref(in), mp::SerializationError);
    }
    whole[2] = '\x7f';  // the offset, beyond the end of the module
    whole[5] = '\x7f';
    CHECK(refusal(whole).find("no code at offset") != std::string::npos);
}

TEST_CASE("code_ref: random bytes never give an address outside the modules' code") {
    const unsigned seed = std::random_device()();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    int accepted = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::uint64_t value = random() >> random() % 64;
        ByteReader in(std::as_bytes(std::span(&value, 1)));
        try {
            const void* function = read_code_ref(in);
            Dl_info info;
            accepted += ::dladdr(function, &info) != 0 ? 1 : 100'000'000;
        } catch (const mp::ProcessError&) {
            // refused, as it should be
        }
    }
    CHECK(accepted < 100'000'000);
}

TEST_CASE("code_ref: threads may write and read the first references at once") {
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&right] {
            ByteWriter out;
            write_code_ref(out, address_of(&twice));
            write_code_ref(out, address_of(&::getpid));
            ByteReader in(out.data());
            right += read_code_ref(in) == address_of(&twice);
            right += read_code_ref(in) == address_of(&::getpid);
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(right == 16);
}

TEST_CASE("code_ref: the program's build-id is its note, in hex") {
    const std::string id = program_build_id();
    CHECK(id.size() == 40);
    CHECK(id.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(id == program_build_id());
}

TEST_CASE("code_ref: a function is named by its symbol, a static one too") {
    CHECK(function_name(address_of(&twice)).find("twice(int)") != std::string::npos);
    CHECK(
        function_name(address_of(&Numbers::thrice)).find("thrice(int)") !=
        std::string::npos
    );
    Library library(MODULE);
    CHECK(function_name(library.load()) == "scale");
    library.unload();
    static int data = 0;
    CHECK(function_name(&data).starts_with("0x"));
}

TEST_CASE("Call: the name of a call that came as bytes loads nothing and runs nothing"
) {
    Library library(MODULE_OTHER);
    const std::string named = written_by_unloaded(library);
    const auto name_of = [](const std::string& bytes) {
        return mp::Call(std::as_bytes(std::span(bytes))).name();
    };
    CHECK(name_of(named) == "unknown");
    CHECK(::dlopen(library.path().c_str(), RTLD_NOW | RTLD_NOLOAD) == nullptr);
    // Another library's build-id, and a path where opening would wait for ever.
    const fs::path fifo = library.folder() / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    std::string waits = named;
    const std::string path = library.path();
    waits.replace(waits.find(path) - 2, path.size() + 2, "");
    const auto length = static_cast<std::uint16_t>(fifo.native().size());
    waits.append(reinterpret_cast<const char*>(&length), sizeof length);
    waits += fifo.native();
    CHECK(name_of(waits) == "unknown");
    // Functions of ours that are no thunk, whole and from their middle.
    const std::string function = written(address_of(&twice));
    CHECK(name_of(function) == "unknown");
    std::uint64_t offset = 0;
    std::memcpy(&offset, function.data(), sizeof offset);
    for (std::uint64_t step = 1; step < 8; ++step) {
        CHECK(name_of(word(offset + step)) == "unknown");
    }
    CHECK(name_of(word(~std::uint64_t{0} >> 16U)) == "unknown");
    CHECK(name_of("abc") == "unknown");
}

TEST_CASE("Call: a call that came as bytes knows the name of a function of this program"
) {
    const mp::Call made = mp::call(twice, 1);
    const mp::Call came(made.bytes());
    CHECK(came.name() == made.name());
    CHECK(came.name().find("twice") != std::string::npos);
    CHECK(mp::loads<mp::Call>(mp::dumps(made)).name() == made.name());
    // The same thunk, entered a little later.
    std::string middle(
        reinterpret_cast<const char*>(made.bytes().data()), made.bytes().size()
    );
    for (int step = 0; step < 8; ++step) {
        ++middle[0];
        const mp::Call forged(std::as_bytes(std::span(middle)));
        CHECK(forged.name() == "unknown");
    }
}
