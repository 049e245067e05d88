# Makes libfuse, fusermount3 and libstdc++ for musl out of Debian's sources, in a fresh Debian 13 that has this directory in /tools.
# What a system needs of it, musl included, lands in /release: usr/lib, usr/lib/musl, usr/bin and etc.
set -eu
apt-get -qq update >/dev/null
install="apt-get -qq -y install --no-install-recommends"
$install musl-tools g++ meson ninja-build pkgconf make linux-libc-dev dpkg-dev xz-utils >/dev/null
kernel=/usr/include/x86_64-linux-musl
ln -s /usr/include/linux /usr/include/asm-generic /usr/include/x86_64-linux-gnu/asm "$kernel"
specs=/usr/lib/x86_64-linux-musl/musl-gcc.specs
compiled=/usr/lib/gcc/x86_64-linux-gnu/$(gcc -dumpversion)
made=/release/usr/lib/musl
mkdir -p "$made" /release/usr/bin /release/etc /build/source
sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
apt-get -qq update >/dev/null
cd /build/source
apt-get -qq source --download-only fuse3 "gcc-$(gcc -dumpversion)" >/dev/null 2>&1

cp -L /lib/ld-musl-x86_64.so.1 /release/usr/lib
# By this name Bun asks for the C library.
ln -s ../ld-musl-x86_64.so.1 "$made/libc.musl-x86_64.so.1"
ln -s ../ld-musl-x86_64.so.1 "$made/libc.so"
echo /usr/lib/musl >/release/etc/ld-musl-x86_64.path

# Not to have umount(8) called, which is busybox's where musl is, and does not know the options it would be given.
mkdir fuse
tar -xf fuse3_*.orig.tar.?z -C fuse --strip-components=1
CC=musl-gcc meson setup fuse/build fuse --prefix=/usr -Dexamples=false -Dtests=false -Duseroot=false \
	-Dc_args=-DIGNORE_MTAB >/dev/null
ninja -C fuse/build >/dev/null
cp -L fuse/build/lib/libfuse3.so.4 "$made"
ln -s libfuse3.so.4 "$made/libfuse3.so.3"
cp fuse/build/util/fusermount3 /release/usr/bin
chmod 4755 /release/usr/bin/fusermount3

# Of the compiler only this library, by the compiler that is installed: configured as for another system.
mkdir packed gcc
tar -xf gcc-*.orig.tar.?z -C packed --strip-components=1
tar -xf packed/gcc-*.tar.xz -C gcc --strip-components=1
ln -s gthr-posix.h gcc/libgcc/gthr-default.h
mkdir gcc/made
cd gcc/made
CC="gcc -specs $specs" CXX="g++ -specs $specs" CPP="gcc -specs $specs -E" CXXCPP="g++ -specs $specs -E" \
	../libstdc++-v3/configure --build=x86_64-linux-gnu --host=x86_64-linux-musl --prefix=/usr --disable-multilib \
	--disable-nls --disable-libstdcxx-pch --disable-werror >/dev/null
make >/build/log 2>&1 || { tail -n 30 /build/log; exit 1; }
musl-gcc -O2 -fPIC -c /tools/find-object.c -o find-object.o
musl-gcc -shared -Wl,-soname,libstdc++.so.6 -o "$made/libstdc++.so.6" find-object.o src/.libs/*.o \
	-Wl,--whole-archive src/.libs/libstdc++convenience.a "$compiled/libgcc_eh.a" -Wl,--no-whole-archive "$compiled/libgcc.a"
