"""discord.py against the loopback Discord; started by run.ts."""
import asyncio
import io
import os

import discord
import yarl
from discord import app_commands

discord.http.Route.BASE = os.environ["API_BASE"]
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GATEWAY"])
nobody = discord.AllowedMentions.none()


def ok(what: str) -> None:
    print(f"ok {what}", flush=True)


async def check(what: str, action) -> None:
    try:
        right = await action()
        print(f"bad {what}: not what was expected" if right is False else f"ok {what}", flush=True)
    except Exception as error:  # every failure is a finding
        print(f"bad {what}: {type(error).__name__} {error}".replace("\n", " "), flush=True)


async def refused(code: int, call) -> bool:
    try:
        await call
    except discord.HTTPException as error:
        return error.code == code
    raise AssertionError("it was not refused")


class Client(discord.Client):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True, guild_messages=True, dm_messages=True, guild_reactions=True, dm_reactions=True), allowed_mentions=nobody)
        self.tree = app_commands.CommandTree(self)
        self.identified = 0
        self.resumed = 0

    async def on_ready(self) -> None:
        self.identified += 1
        if self.identified > 1:
            ok("opcode 9 leads to a fresh session")
            return
        channel = self.get_channel(int(os.environ["CHANNEL"]))

        async def guild():
            return self.user.name == "fromage" and channel is not None and channel.guild.me is not None

        async def sync():
            return sorted(command.name for command in await self.tree.sync()) == ["Ask about this image", "ask"]

        await check("identify, READY and the guild", guild)
        await check("commands registered", sync)
        await check("2,001 characters are refused", lambda: refused(50035, channel.send("x" * 2001)))
        many = [discord.File(io.BytesIO(b"x"), f"{i}.png") for i in range(11)]
        await check("eleven files are refused", lambda: refused(50035, self.raw_files(channel, many)))
        await check("an unknown channel is 404", lambda: refused(10003, self.fetch_channel(111111111111111111)))
        asyncio.create_task(self.heartbeat())

    async def raw_files(self, channel, files) -> None:
        """discord.py counts the files itself: asks its HTTP layer."""
        with discord.http.handle_message_parameters(content="x", allowed_mentions=nobody) as parameters:
            form = [{"name": "payload_json", "value": discord.utils._to_json(parameters.payload)}]
            form += [{"name": f"files[{i}]", "value": file.fp, "filename": file.filename, "content_type": "image/png"} for i, file in enumerate(files)]
            route = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=channel.id)
            await self.http.request(route, form=form, files=files)

    async def heartbeat(self) -> None:
        while self.ws._keep_alive is None or self.ws._keep_alive._last_recv == 0 or self.latency == float("inf"):
            await asyncio.sleep(0.1)
        ok("heartbeats are acknowledged")

    async def on_resumed(self) -> None:
        self.resumed += 1
        if self.resumed == 2:
            ok("opcode 7 resumes")

    async def on_raw_reaction_add(self, event) -> None:
        if event.emoji.name == "👍" and event.message_author_id:
            ok("a reaction")

    async def on_message_edit(self, _, after) -> None:
        if after.content.endswith("hello again"):
            ok("an edited message")

    async def on_message(self, message) -> None:
        if message.author == self.user:
            return
        if message.guild is None:
            await check("a forwarded message in private", lambda: self.forwarded(message))
        elif message.content.endswith("hello"):
            await self.hello(message)
        elif message.content.endswith("said while away"):
            while self.resumed == 0:
                await asyncio.sleep(0.05)
            ok("a broken connection resumes and brings what was missed")
        elif message.content.endswith("many"):
            async def many():
                for i in range(8):
                    await message.channel.send(f"number {i}")

            await check("eight messages at once, through the rate limit", many)

    async def forwarded(self, message) -> bool:
        [snapshot] = message.message_snapshots
        return "words to pass on" in snapshot.content and len(await snapshot.attachments[0].read()) > 0

    async def hello(self, message) -> None:
        content = await message.attachments[0].read()
        ok(f"a mention with a picture of {len(content)} bytes")
        sent = None

        async def reply():
            nonlocal sent
            async with message.channel.typing():
                file = discord.File(io.BytesIO(content), "a.png", description="a picture of a colour")
                sent = await message.reply("answer", file=file, view=Buttons())
            return sent.attachments[0].description == "a picture of a colour" and sent.reference.message_id == message.id and len(sent.components) == 1

        async def edit():
            edited = await sent.edit(content="edited", attachments=[])
            return edited.content == "edited" and edited.attachments == [] and edited.edited_at is not None

        async def again():
            fetched = await message.channel.fetch_message(sent.id)
            history = [one.id async for one in message.channel.history(limit=2)]
            return fetched.content == "edited" and history == [sent.id, message.id]

        await check("a reply with a picture, alt text and buttons", reply)
        await check("an edit that takes the picture away", edit)
        await check("the message asked for again, and the history", again)


class Buttons(discord.ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)

    @discord.ui.button(label="press", custom_id="data-1")
    async def press(self, interaction, _) -> None:
        await check("a click that changes its message", lambda: interaction.response.edit_message(content="pressed"))


client = Client()


@client.tree.command(name="ask", description="ask something")
async def ask(interaction: discord.Interaction, text: str, picture: discord.Attachment | None = None) -> None:
    response = interaction.response
    raw = discord.http.Route("POST", "/interactions/{id}/{token}/callback", id=interaction.id, token=interaction.token)

    async def quickly():
        await response.defer()
        content = await picture.read()
        original = await interaction.edit_original_response(content="done", attachments=[discord.File(io.BytesIO(content), "b.png", description="alt")])
        more = await interaction.followup.send("more", file=discord.File(io.BytesIO(content), "c.png"), wait=True)
        return original.attachments[0].description == "alt" and more.content == "more" and (await more.edit(content="less")).content == "less"

    async def hidden():
        callback = await response.send_message("only you", ephemeral=True)
        return callback.resource.content == "only you" and callback.resource.flags.ephemeral

    async def twice():
        await response.defer()
        return await refused(40060, client.http.request(raw, json={"type": 5}))

    async def late():
        await asyncio.sleep(3.3)
        return await refused(10062, client.http.request(raw, json={"type": 5}))

    name = {"quickly": "a command with a picture: deferred, edited, followed up", "hidden": "an immediate answer for one person", "twice": "a second first answer is refused with 40060", "late": "an answer after three seconds is refused with 10062"}[text]
    await check(name, {"quickly": quickly, "hidden": hidden, "twice": twice, "late": late}[text])


@ask.autocomplete("text")
async def suggest(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    ok("autocomplete")
    return [app_commands.Choice(name=f"{current}!", value=f"{current}!")]


@client.tree.context_menu(name="Ask about this image")
async def menu(interaction: discord.Interaction, message: discord.Message) -> None:
    async def read():
        await interaction.response.defer()
        return len(await message.attachments[0].read()) > 0 and (await interaction.edit_original_response(content="seen")).content == "seen"

    await check("the message menu", read)


async def main() -> None:
    async def wrong():
        other = discord.Client(intents=discord.Intents.none())
        try:
            await other.login("wrong.token.here")
        except discord.LoginFailure:
            return True
        finally:
            await other.close()
        return False

    await check("a wrong token is refused", wrong)
    async with client:
        await client.start(os.environ["TOKEN"])


asyncio.run(main())
